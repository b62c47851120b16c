import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { Storage } from "@google-cloud/storage";
import { startStorage, type StorageEmulator } from "@klio/emulators";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

describe("Cloud Storage as the official client sees it", () => {
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

  it("creates, finds, lists and deletes buckets", async () => {
    await client.createBucket("second-bucket");
    await expect(client.createBucket("second-bucket")).rejects.toMatchObject({ code: 409 });
    const [buckets] = await client.getBuckets();
    expect(buckets.map((b) => b.name)).toEqual(["recordings", "second-bucket"]);
    await client.bucket("second-bucket").file("x").save("x", { resumable: false });
    await expect(client.bucket("second-bucket").delete()).rejects.toMatchObject({ code: 409 });
    await client.bucket("second-bucket").file("x").delete();
    await client.bucket("second-bucket").delete();
    expect((await client.bucket("second-bucket").exists())[0]).toBe(false);
    await expect(client.createBucket("Bad_Name!")).rejects.toMatchObject({ code: 400 });
  });

  it.each([
    ["multipart", { resumable: false }],
    ["resumable", { resumable: true }],
    ["resumable in chunks", { resumable: true, chunkSize: 256 * 1024 }],
  ])("stores a %s upload as a plain file and gives it back", async (_, options) => {
    const data = Buffer.alloc(700_001, "klio");
    const file = bucket().file("a folder/tone.wav");
    await file.save(data, { ...options, contentType: "audio/wav", metadata: { metadata: { "klio-by": "1,2" } } });
    expect((await readFile(onDisk("a folder", "tone.wav"))).equals(data)).toBe(true);
    expect((await file.download())[0].equals(data)).toBe(true);
    const [metadata] = await file.getMetadata();
    expect(metadata).toMatchObject({ contentType: "audio/wav", size: "700001", metadata: { "klio-by": "1,2" } });
    const [part] = await file.download({ start: 4, end: 7 });
    expect(part.toString()).toBe("klio");
    await file.delete();
    expect((await file.exists())[0]).toBe(false);
    expect(existsSync(onDisk("a folder"))).toBe(false);
  });

  it("keeps preconditions on generations, which only grow", async () => {
    const file = bucket().file("generations");
    const save = (text: string, ifGenerationMatch: number | string) =>
      file.save(text, { resumable: false, preconditionOpts: { ifGenerationMatch } });
    await save("one", 0);
    await expect(save("again", 0)).rejects.toMatchObject({ code: 412 });
    const [first] = await file.getMetadata();
    await save("two", first.generation ?? "");
    const [second] = await file.getMetadata();
    expect(BigInt(second.generation ?? 0)).toBeGreaterThan(BigInt(first.generation ?? 0));
    await expect(save("late", first.generation ?? "")).rejects.toMatchObject({ code: 412 });
    expect((await file.download())[0].toString()).toBe("two");
  });

  it("lets one of many racing writers win", async () => {
    const file = bucket().file("race");
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) =>
        file.save(`writer ${i}`, { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } }),
      ),
    );
    expect(results.filter((r) => r.status === "fulfilled")).toHaveLength(1);
  });

  it("patches metadata under a new metageneration", async () => {
    const file = bucket().file("patched");
    await file.save("x", { resumable: false, metadata: { metadata: { a: "1", b: "2" } } });
    await file.setMetadata({ metadata: { a: null, c: "3" }, cacheControl: "no-cache" });
    const [metadata] = await file.getMetadata();
    expect(metadata).toMatchObject({ metadata: { b: "2", c: "3" }, cacheControl: "no-cache", metageneration: "2" });
    expect(metadata.metadata).not.toHaveProperty("a");
  });

  it("refuses bytes that do not match their announced checksum, and keeps nothing", async () => {
    const file = bucket().file("broken");
    const wrong = file.save("x", { resumable: false, metadata: { md5Hash: "AAAAAAAAAAAAAAAAAAAAAA==" } });
    await expect(wrong).rejects.toMatchObject({ code: 400 });
    expect((await file.exists())[0]).toBe(false);
  });

  it("lists by prefix and delimiter, page by page", async () => {
    for (const name of ["list/a", "list/b/c", "list/b/d", "list/e"])
      await bucket().file(name).save(name, { resumable: false });
    const page = { prefix: "list/", maxResults: 3, autoPaginate: false };
    const [first, next] = await bucket().getFiles(page);
    expect(first.map((f) => f.name)).toEqual(["list/a", "list/b/c", "list/b/d"]);
    const [second, end] = await bucket().getFiles({ ...page, ...next });
    expect(second.map((f) => f.name)).toEqual(["list/e"]);
    expect(end).toBeNull();
    const [top, , response] = await bucket().getFiles({ prefix: "list/", delimiter: "/", autoPaginate: false });
    expect(top.map((f) => f.name)).toEqual(["list/a", "list/e"]);
    expect((response as { prefixes: string[] }).prefixes).toEqual(["list/b/"]);
  });

  it("copies and moves", async () => {
    await bucket().file("source").save("copied", { resumable: false, contentType: "text/x-klio" });
    await bucket().file("source").copy(bucket().file("target"));
    expect((await bucket().file("target").download())[0].toString()).toBe("copied");
    expect((await bucket().file("target").getMetadata())[0].contentType).toBe("text/x-klio");
    await bucket().file("target").move(bucket().file("moved"));
    expect((await bucket().file("target").exists())[0]).toBe(false);
  });

  it("unpacks gzip objects for clients that do not take gzip", async () => {
    await bucket()
      .file("packed")
      .save(gzipSync("unpacked"), { resumable: false, metadata: { contentEncoding: "gzip" } });
    expect((await bucket().file("packed").download())[0].toString()).toBe("unpacked");
    const url = `${emulator.url}/storage/v1/b/recordings/o/packed?alt=media`;
    const plain = await fetch(url, { headers: { "accept-encoding": "identity" } });
    expect(await plain.text()).toBe("unpacked");
  });

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

  const hostile = [
    "../x",
    "../../../../etc/passwd",
    "x/../y",
    "/absolute",
    "a//b",
    "trailing/",
    "emoji 🎵/💿",
    "a\\b",
    "con",
    "NUL.txt",
    "c:d",
    "-rf",
    "$(touch x)",
    "`id`",
    "quote\"'",
    "%2e%2e/x",
    "%2E%2E",
    "a%_b",
    "ends.",
    "ends ",
    "tab\tname",
    ".klio",
    ".klio/records",
    "..",
    "x".repeat(1024),
    `${"é".repeat(300)}/deep`,
    "name%@",
    "*?<>|",
    "a/./b",
    "#fragment?query=1&x",
    "nul\u0000byte",
  ];

  it.each(hostile.filter((n) => n !== ".."))("round-trips the object name %j inside the root", async (name) => {
    const outside = await readdir(folder);
    const file = bucket().file(name);
    await file.save(`content of ${name}`, { resumable: false });
    expect((await file.download())[0].toString()).toBe(`content of ${name}`);
    const [listed] = await bucket().getFiles({ prefix: name });
    expect(listed.map((f) => f.name)).toContain(name);
    await file.delete();
    expect((await file.exists())[0]).toBe(false);
    expect(await readdir(folder)).toEqual(outside);
  });

  it.each([".", "..", "a\nb", "a\rb", ".well-known/acme-challenge/x", "x".repeat(1025)])(
    "refuses the object name %j as the service does",
    async (name) => {
      await expect(bucket().file(name).save("x", { resumable: false })).rejects.toMatchObject({ code: 400 });
    },
  );

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

  it("serves both path prefixes and answers 501 to what it does not support", async () => {
    expect((await fetch(`${emulator.url}/b/recordings`)).status).toBe(200);
    const acl = await fetch(`${emulator.url}/storage/v1/b/recordings/acl`);
    expect(acl.status).toBe(501);
    expect(await acl.json()).toMatchObject({
      error: { code: 501, message: expect.stringContaining("acl") as unknown },
    });
  });

  it("refuses requests that come from a web page", async () => {
    const foreign = await fetch(`${emulator.url}/storage/v1/b`, { headers: { origin: "https://example.org" } });
    expect(foreign.status).toBe(403);
  });
});
