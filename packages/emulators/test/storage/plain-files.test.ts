import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { get } from "node:http";
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
});
