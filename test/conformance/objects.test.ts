import { createHash, randomInt } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { startStorage, type StorageEmulator } from "@klio/emulators";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { UploadSource } from "../../packages/runtime/src/api/context.js";
import { InputNotFoundError } from "../../packages/runtime/src/api/errors.js";
import { FileStore } from "../../packages/runtime/src/objects/file-store.js";
import { GcsStore } from "../../packages/runtime/src/objects/gcs-store.js";
import { MemoryStore } from "../../packages/runtime/src/objects/memory-store.js";
import { RoutedStore } from "../../packages/runtime/src/objects/routed-store.js";
import { GenerationMismatchError, type ObjectStore } from "../../packages/runtime/src/objects/store.js";
import { seededRandom } from "../support/random.js";

// One suite for every ObjectStore: what testJob runs on must behave as what the worker runs on.
const { signal } = new AbortController();
const options = (ifGenerationMatch: string, by: readonly string[] = []) => ({
  ifGenerationMatch,
  by,
  contentType: "text/plain",
});
const kibi = 1024;
/** Small enough for objects of a megabyte to go up in pieces and down in parts. */
const limits = { pieceBytes: 256 * kibi, partBytes: 100 * kibi, firstDelayMs: 1 };

/** Bytes of which no two stretches are alike. */
function bytes(size: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(size / 32) }, (_, n) => createHash("sha256").update(`${n}`).digest());
  return Buffer.concat(blocks).subarray(0, size);
}

async function* inChunks(data: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += size) yield await Promise.resolve(data.subarray(at, at + size));
}

describe.each(["memory", "folders", "Cloud Storage"])("objects in %s", (kind) => {
  const inFolders = kind === "folders";
  const inCloud = kind === "Cloud Storage";
  let store: ObjectStore;
  let emulator: StorageEmulator | undefined;
  let folder: string;
  let files = 0;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "klio-objects-"));
    if (inCloud) {
      emulator = await startStorage({ root: join(folder, "root") });
      await fetch(`${emulator.url}/storage/v1/b`, { method: "POST", body: '{"name":"bucket"}' });
    }
    const cloud = () => new GcsStore({ project: "a-project", emulator: emulator?.url ?? "", limits });
    // The worker has both behind one.
    store = kind === "memory" ? new MemoryStore() : new RoutedStore(() => new FileStore(), cloud);
  });

  afterAll(async () => {
    await emulator?.close();
    await rm(folder, { recursive: true });
  });

  const at = (name: string) => ({ bucket: inFolders ? join(folder, "objects") : "bucket", name });
  const stat = (name: string) => store.stat(at(name), signal);
  const text = async (name: string) => Buffer.from(await store.read(at(name), signal)).toString();
  const newFile = () => join(folder, `file-${(files += 1)}`);

  /** Reads an object in each of the three ways. */
  async function readAll(name: string, arrived: (bytes: number) => void = () => undefined) {
    const file = newFile();
    const read = Buffer.from(await store.read(at(name), signal, { arrived }));
    const opened = await buffer(await store.open(at(name), signal, { arrived }));
    await store.download(at(name), file, signal, { arrived });
    return [read, opened, await readFile(file)];
  }

  /** What writers have begun and not made an object of. */
  async function staged(): Promise<readonly string[]> {
    const all = await readdir(folder, { recursive: true });
    return all.filter((path) => path.includes("staged.") || /\.klio\/staging\/./.test(path));
  }

  it("are absent until they are written, then whole, with their size and their writers", async () => {
    expect(await stat("a")).toBeUndefined();
    const { generation, size } = await store.write(at("a"), "hello", options("0", ["2", "1"]), signal);
    expect(size).toBe(5);
    const state = await stat("a");
    expect(state).toMatchObject({ generation, by: ["2", "1"], size: 5 });
    // Of "hello", as https://cloud.google.com/storage/docs/hashes-etags writes it.
    expect(state?.crc32c).toBe(inFolders ? undefined : "mnG7TA==");
    for (const read of await readAll("a")) expect(read.toString()).toBe("hello");
  });

  it.each([0, 1, 65_536, 1_000_000])("of %d bytes are written from bytes, text and streams", async (size) => {
    const data = bytes(size);
    const latin = data.toString("base64");
    await store.write(at(`bytes-${size}`), new Uint8Array(data), options("0"), signal);
    await store.write(at(`text-${size}`), latin, options("0"), signal);
    await store.write(at(`stream-${size}`), inChunks(data, 70_000), options("0"), signal);
    for (const name of ["bytes", "stream"]) {
      expect((await stat(`${name}-${size}`))?.size).toBe(size);
      for (const read of await readAll(`${name}-${size}`)) expect(read.equals(data)).toBe(true);
    }
    expect((await text(`text-${size}`)) === latin).toBe(true);
  });

  it("are the same bytes whatever their size, and however their source cuts them", async () => {
    const seed = Number(process.env["KLIO_SEED"] ?? randomInt(2 ** 31));
    console.log(`sizes of objects in ${kind}: KLIO_SEED=${seed}`);
    const random = seededRandom(seed);
    const all = bytes(1_200 * kibi);
    for (let i = 0; i < 25; i += 1) {
      // Around the limits above all.
      const size = Math.max(0, Math.floor(random() * 5) * 256 * kibi + Math.floor(random() * 5) - 2);
      const cut = 1 + Math.floor(random() * 300 * kibi);
      await store.write(at(`size-${i}`), inChunks(all.subarray(0, size), cut), options("0"), signal);
      for (const read of await readAll(`size-${i}`)) {
        expect(read.equals(all.subarray(0, size)), `${size} in chunks of ${cut}`).toBe(true);
      }
    }
  });

  it("are written from streams of text, and from nothing else but text and bytes", async () => {
    const stream = Readable.from(["für ", "Elise"]);
    expect((await store.write(at("from-text"), stream, options("0"), signal)).size).toBe(10);
    for (const read of await readAll("from-text")) expect(read.toString()).toBe("für Elise");
    const wrong: readonly (readonly [unknown, string])[] = [
      [Readable.from([{ a: 1 }]), "gives bytes or text, not a value of type Object; make bytes of it first"],
      [Readable.from([1]), "gives bytes or text, not a value of type Number"],
      [Readable.from([new Float32Array(2)]), "not a value of type Float32Array"],
      [{ a: 1 }, "an upload takes bytes, text or a stream of them, not a value of type Object"],
      [undefined, "not a value of type Undefined"],
      [null, "not a value of type Null"],
    ];
    for (const [source, message] of wrong) {
      const written = store.write(at("wrong"), source as UploadSource, options("0"), signal);
      await expect(written).rejects.toThrow(TypeError);
      await expect(written).rejects.toThrow(message);
    }
    expect(await stat("wrong")).toBeUndefined();
    await expect.poll(staged).toEqual([]);
  });

  it("are counted in bytes as these arrive", async () => {
    await store.write(at("counted"), bytes(900_000), options("0"), signal);
    let arrived = 0;
    await readAll("counted", (more) => (arrived += more));
    // A download in parts lets its first answer go in the middle.
    expect(arrived).toBeGreaterThanOrEqual(3 * 900_000);
    expect(arrived).toBeLessThan(3 * 900_000 + 2 * 128 * kibi);
  });

  it("stay as they are when what was written or read is changed", async () => {
    const data = Buffer.from("hello");
    await store.write(at("kept"), data, options("0"), signal);
    data.fill("x");
    (await store.read(at("kept"), signal)).fill(120);
    expect(await text("kept")).toBe("hello");
  });

  it("are written only at the generation asked for", async () => {
    const { generation } = await store.write(at("b"), "one", options("0"), signal);
    const large = () => inChunks(bytes(600_000), 50_000);
    for (const two of ["two", large()]) {
      await expect(store.write(at("b"), two, options("0"), signal)).rejects.toThrow(GenerationMismatchError);
    }
    await store.write(at("b"), "two", options(generation), signal);
    for (const three of ["three", large()]) {
      await expect(store.write(at("b"), three, options(generation), signal)).rejects.toThrow(GenerationMismatchError);
    }
    expect(await text("b")).toBe("two");
    expect(await staged()).toEqual([]);
  });

  it("are read as they are now, also by who knows an earlier state", async () => {
    const { generation } = await store.write(at("moved"), "one", options("0"), signal);
    const known = await stat("moved");
    expect(Buffer.from(await store.read(at("moved"), signal, { known })).toString()).toBe("one");
    await store.write(at("moved"), "two", options(generation), signal);
    expect(Buffer.from(await store.read(at("moved"), signal, { known })).toString()).toBe("two");
  });

  it.each([10, 600_000])(
    "of two writers at once keep the one that was faster, and its name: %d bytes",
    async (size) => {
      for (let i = 0; i < 25; i += 1) {
        const name = `race-${size}-${i}`;
        const contents = ["a", "b"].map((by) => Buffer.alloc(size, by));
        const results = await Promise.allSettled(
          contents.map((data, n) => store.write(at(name), inChunks(data, 90_000), options("0", [`${n}`]), signal)),
        );
        const winners = results.flatMap((r, n) => (r.status === "fulfilled" ? [n] : []));
        const losers = results.flatMap((r) => (r.status === "rejected" ? [r.reason as unknown] : []));
        expect(winners).toHaveLength(1);
        expect(losers[0]).toBeInstanceOf(GenerationMismatchError);
        expect(await stat(name)).toMatchObject({ by: winners.map(String), size });
        expect(Buffer.from(await store.read(at(name), signal)).equals(contents[winners[0] ?? 2] ?? Buffer.of())).toBe(
          true,
        );
      }
    },
  );

  it.each([0, 1, 10])("are not there half when their source breaks after %d chunks", async (count) => {
    async function* breaking() {
      for (let i = 0; i < count; i += 1) yield await Promise.resolve(Buffer.alloc(100_000));
      throw new Error("the source broke");
    }
    const name = `broken-${count}`;
    await expect(store.write(at(name), breaking(), options("0"), signal)).rejects.toThrow("the source broke");
    const stream = new PassThrough();
    stream.write(Buffer.alloc(count * 100_000));
    const writing = store.write(at(name), stream, options("0"), signal);
    stream.destroy();
    await expect(writing).rejects.toThrow(/premature/i);
    expect(await stat(name)).toBeUndefined();
    expect(await staged()).toEqual([]);
  });

  it.each([0, 1, 10])("are not there when the writing is aborted after %d chunks", async (count) => {
    const abort = new AbortController();
    let left = false;
    // A program that is ended by the same signal ends its output like one that is done.
    async function* ending() {
      for (let i = 0; i < count; i += 1) yield await Promise.resolve(Buffer.alloc(100_000));
      abort.abort(new Error("enough"));
    }
    async function* stuck() {
      try {
        for (let i = 0; i < count; i += 1) yield await Promise.resolve(Buffer.alloc(100_000));
        setTimeout(() => {
          second.abort(new Error("enough"));
        }, 20);
        await sleep(200);
      } finally {
        left = true;
      }
    }
    const second = new AbortController();
    const name = `aborted-${count}`;
    await expect(store.write(at(name), ending(), options("0"), abort.signal)).rejects.toThrow("enough");
    await expect(store.write(at(name), stuck(), options("0"), second.signal)).rejects.toThrow("enough");
    await expect(store.write(at(name), "late", options("0"), abort.signal)).rejects.toThrow("enough");
    expect(await stat(name)).toBeUndefined();
    expect(await staged()).toEqual([]);
    await expect.poll(() => left).toBe(true);
  });

  it("are not read any more once the signal aborts", async () => {
    await store.write(at("large"), bytes(1_200_000), options("0"), signal);
    const aborted = AbortSignal.abort(new Error("enough"));
    await expect(store.stat(at("large"), aborted)).rejects.toThrow("enough");
    await expect(store.read(at("large"), aborted)).rejects.toThrow();
    await expect(store.download(at("large"), newFile(), aborted)).rejects.toThrow();
    const later = new AbortController();
    const stream = await store.open(at("large"), later.signal);
    later.abort(new Error("enough"));
    await expect(buffer(stream)).rejects.toThrow(/abort/);
  });

  it("let go of a stream that is left before its end, or was never read", async () => {
    const streams: Readable[] = [await store.open(at("large"), signal), await store.open(at("large"), signal)];
    for await (const chunk of streams[0] ?? []) {
      expect((chunk as Buffer).length).toBeGreaterThan(0);
      break;
    }
    streams[1]?.destroy();
    await expect.poll(() => streams.every((stream) => stream.closed)).toBe(true);
    // Others go on meanwhile.
    const other = await store.open(at("large"), signal);
    (await store.open(at("large"), signal)).destroy();
    expect((await buffer(other)).equals(bytes(1_200_000))).toBe(true);
  });

  it("that are missing say so", async () => {
    await expect(store.read(at("missing"), signal)).rejects.toThrow(InputNotFoundError);
    await expect(store.open(at("missing"), signal)).rejects.toThrow(InputNotFoundError);
    await expect(store.download(at("missing"), newFile(), signal)).rejects.toThrow(InputNotFoundError);
  });
});
