import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createHash, randomBytes } from "node:crypto";
import { Agent, get, request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Storage } from "@google-cloud/storage";
import { startStorage, type StorageEmulator } from "@klio/emulators";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

describe("The files of Cloud Storage", () => {
  let folder: string;
  let emulator: StorageEmulator;
  let client: Storage;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "klio-storage-"));
    emulator = await startStorage({ root: join(folder, "root") });
    client = new Storage({ projectId: "conformance-project", apiEndpoint: emulator.url });
    await client.createBucket("recordings");
  });

  afterAll(async () => {
    await emulator.close();
    await rm(folder, { recursive: true });
  });

  const bucket = () => client.bucket("recordings");
  const onDisk = (...path: string[]) => join(emulator.root, "recordings", ...path);

  it("sees a file dropped in, changed and removed by hand", async () => {
    await writeFile(onDisk("by hand.txt"), "one");
    const file = bucket().file("by hand.txt");
    expect((await file.download())[0].toString()).toBe("one");
    const [before] = await file.getMetadata();
    await writeFile(onDisk("by hand.txt"), "other");
    expect((await file.download())[0].toString()).toBe("other");
    const [after] = await file.getMetadata();
    expect(BigInt(after.generation ?? 0)).toBeGreaterThan(BigInt(before.generation ?? 0));
    await rm(onDisk("by hand.txt"));
    expect((await file.exists())[0]).toBe(false);
  });

  it("serves a file put there by hand whatever its name, and replaces that file", async () => {
    const name = "take 1: intro?.wav";
    await writeFile(onDisk(name), "by hand");
    const [listed] = await bucket().getFiles({ prefix: "take" });
    expect(listed.map((f) => f.name)).toEqual([name]);
    expect((await bucket().file(name).download())[0].toString()).toBe("by hand");
    await bucket().file(name).save("uploaded", { resumable: false });
    expect(await readFile(onDisk(name), "utf8")).toBe("uploaded");
    expect((await bucket().getFiles({ prefix: "take" }))[0]).toHaveLength(1);
    await bucket().file(name).delete();
  });

  it("sends headers and bytes of one generation while the object is replaced", async () => {
    const url = `${emulator.url}/storage/v1/b/recordings/o/replaced?alt=media`;
    const reading = new AbortController();
    const write = (async () => {
      for (let i = 0; !reading.signal.aborted; i += 1)
        await bucket()
          .file("replaced")
          .save("x".repeat(i % 2 === 0 ? 300 : 1_000), { resumable: false });
    })();
    await bucket().file("replaced").save("x", { resumable: false });
    for (let i = 0; i < 150; i += 1) {
      const response = await fetch(url);
      const text = await response.text();
      expect(text.length).toBe(Number(response.headers.get("content-length")));
    }
    reading.abort();
    await write;
  });

  it.each(["..", ".", ".klio", "a/b"])("has no bucket called %j", async (name) => {
    await writeFile(join(folder, "secret.txt"), "secret");
    // Not by fetch, which takes %2E%2E for a step upwards and never sends it.
    const status = (rest: string) =>
      new Promise<number | undefined>((resolve) => {
        const path = `/storage/v1/b/${encodeURIComponent(name).replaceAll(".", "%2E")}${rest}`;
        get({ port: emulator.port, host: "127.0.0.1", path }, (response) => {
          response.resume();
          resolve(response.statusCode);
        });
      });
    expect(await status("/o")).toBe(404);
    expect(await status("/o/secret.txt?alt=media")).toBe(404);
  });

  it("takes one request of a resumable upload at a time", async () => {
    const start = await fetch(`${emulator.url}/upload/storage/v1/b/recordings/o?uploadType=resumable&name=twice`, {
      method: "POST",
    });
    const location = start.headers.get("location") ?? "";
    const body = Buffer.alloc(400_000, "x");
    const put = () => fetch(location, { method: "PUT", body, headers: { "content-range": "bytes 0-399999/400000" } });
    const answers = await Promise.all([put(), put()]);
    expect(answers.map((a) => a.status)).toEqual([200, 200]);
    expect((await bucket().file("twice").download())[0].length).toBe(400_000);
  });

  it("keeps objects, generations and metadata over a restart", async () => {
    await bucket()
      .file("kept")
      .save("kept", { resumable: false, metadata: { metadata: { "klio-by": "7" } } });
    const [before] = await bucket().file("kept").getMetadata();
    await emulator.close();
    emulator = await startStorage({ root: emulator.root, port: emulator.port });
    const [after] = await bucket().file("kept").getMetadata();
    expect(after).toMatchObject({ generation: before.generation, metadata: { "klio-by": "7" } });
  });

  it("keeps an object beside objects below its name, whichever came first", async () => {
    for (const [first, second] of [
      ["one", "one/below"],
      ["two/below", "two"],
    ] as const) {
      await bucket().file(first).save(first, { resumable: false });
      await bucket().file(second).save(second, { resumable: false });
      expect((await bucket().file(first).download())[0].toString()).toBe(first);
      expect((await bucket().file(second).download())[0].toString()).toBe(second);
      const [listed] = await bucket().getFiles({ prefix: first.split("/")[0] ?? "" });
      expect(listed.map((f) => f.name).sort()).toEqual([first, second].sort());
    }
  });

  it("neither reads nor writes through a symbolic link", async () => {
    await symlink(folder, onDisk("link"));
    await writeFile(join(folder, "secret"), "secret");
    expect((await bucket().file("link/secret").exists())[0]).toBe(false);
    await expect(bucket().file("link/new").save("x", { resumable: false })).rejects.toMatchObject({ code: 403 });
    expect(existsSync(join(folder, "new"))).toBe(false);
  });

  it("refuses requests that come from a web page", async () => {
    const foreign = await fetch(`${emulator.url}/storage/v1/b`, { headers: { origin: "https://example.org" } });
    expect(foreign.status).toBe(403);
  });

  it("gives an object its place again when the folder of its name goes, and leaves none behind", async () => {
    await bucket().file("place").save("object", { resumable: false });
    await bucket().file("place/below").save("below", { resumable: false });
    await bucket().file("place/below").delete();
    expect(await readFile(onDisk("place"), "utf8")).toBe("object");
    await bucket().file("place").delete();
    expect((await bucket().file("place").exists())[0]).toBe(false);
  });

  it("knows nothing any more of a bucket that was removed by hand", async () => {
    const [versioned] = await client.createBucket("removed-bucket", { versioning: { enabled: true } });
    await versioned.file("x").save("one", { resumable: false });
    await versioned.file("x").save("two", { resumable: false });
    await rm(join(emulator.root, "removed-bucket"), { recursive: true });
    const [again] = await client.createBucket("removed-bucket");
    expect((await again.getFiles({ versions: true }))[0]).toEqual([]);
    await again.delete();
  });

  it("leaves a bucket alone in which there is something that is no object", async () => {
    const [linked] = await client.createBucket("linked-bucket");
    await symlink(folder, join(emulator.root, "linked-bucket", "link"));
    await expect(linked.delete()).rejects.toMatchObject({ code: 409 });
    expect(existsSync(join(emulator.root, "linked-bucket", "link"))).toBe(true);
  });

  it("continues a rewrite once for each of two calls with its token at once", async () => {
    const data = randomBytes(5 * 2 ** 20);
    await bucket().file("rewritten").save(data, { resumable: false });
    const path = "/storage/v1/b/recordings/o/rewritten/rewriteTo/b/recordings/o/again?maxBytesRewrittenPerCall=2097152";
    const rewrite = async (token: string) => {
      const body = JSON.stringify({ storageClass: "NEARLINE" });
      const answer = await fetch(`${emulator.url}${path}&rewriteToken=${token}`, { method: "POST", body });
      return (await answer.json()) as { rewriteToken?: string; resource?: { md5Hash: string } };
    };
    const begun = await fetch(`${emulator.url}${path}`, { method: "POST", body: '{"storageClass":"NEARLINE"}' });
    const { rewriteToken = "" } = (await begun.json()) as { rewriteToken?: string };
    const both = await Promise.all([rewrite(rewriteToken), rewrite(rewriteToken)]);
    const done = both.find((answer) => answer.resource !== undefined);
    expect(done?.resource?.md5Hash).toBe(createHash("md5").update(data).digest("base64"));
    expect((await bucket().file("again").download())[0].equals(data)).toBe(true);
  });

  it("answers a request whose body it does not want, and the connection goes on", async () => {
    const large = Buffer.alloc(3_000_000, "x");
    const head = '--x\r\n\r\n{"name":"refused","storageClass":"NONE"}\r\n--x\r\n\r\n';
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 3; i += 1) {
      const status = await new Promise((resolve, reject) => {
        const sent = request(
          `${emulator.url}/upload/storage/v1/b/recordings/o?uploadType=multipart`,
          { method: "POST", agent, headers: { "content-type": "multipart/related; boundary=x" } },
          (response) => {
            response.resume().on("end", () => {
              resolve(response.statusCode);
            });
          },
        );
        sent.on("error", reject);
        sent.end(Buffer.concat([Buffer.from(head), large, Buffer.from("\r\n--x--")]));
      });
      expect(status).toBe(400);
    }
    agent.destroy();
  });

  it("closes while answers wait that nobody reads", async () => {
    const own = await startStorage({ root: join(folder, "closing") });
    await fetch(`${own.url}/storage/v1/b?project=p`, { method: "POST", body: '{"name":"closing-bucket"}' });
    const path = "/upload/storage/v1/b/closing-bucket/o?uploadType=media&name=large";
    await fetch(`${own.url}${path}`, { method: "POST", body: Buffer.alloc(30_000_000) });
    const socket = connect(own.port, "127.0.0.1");
    const get = "GET /storage/v1/b/closing-bucket/o/large?alt=media HTTP/1.1\r\nhost: localhost\r\n\r\n";
    socket.write(get.repeat(3));
    await new Promise((resolve) => socket.once("readable", resolve));
    await own.close();
    socket.destroy();
  });

  it.each(["http://203.0.113.5", "https://example.org", "null"])("refuses a page from %s", async (origin) => {
    expect((await fetch(`${emulator.url}/storage/v1/b`, { headers: { origin } })).status).toBe(403);
  });

  it.each([253, 254, 255, 256, 1_024])("stores an object whose name is %d bytes long", async (length) => {
    const file = bucket().file("n".repeat(length));
    expect((await file.exists())[0]).toBe(false);
    await file.save("long", { resumable: false });
    expect((await file.download())[0].toString()).toBe("long");
    await file.delete();
  });
});
