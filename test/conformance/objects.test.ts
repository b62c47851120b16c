import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { startStorage, type StorageEmulator } from "@klio/emulators";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { InputNotFoundError } from "../../packages/runtime/src/api/errors.js";
import { FileStore } from "../../packages/runtime/src/objects/file-store.js";
import { GcsStore } from "../../packages/runtime/src/objects/gcs-store.js";
import { MemoryStore } from "../../packages/runtime/src/objects/memory-store.js";
import { GenerationMismatchError, type ObjectStore } from "../../packages/runtime/src/objects/store.js";

// One suite for every ObjectStore: what testJob runs on must behave as what the worker runs on.
const { signal } = new AbortController();
const options = (ifGenerationMatch: string, by: readonly string[] = []) => ({
  ifGenerationMatch,
  by,
  contentType: "text/plain",
});

describe.each(["memory", "folders", "Cloud Storage"])("objects in %s", (kind) => {
  let store: ObjectStore;
  let emulator: StorageEmulator | undefined;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "klio-objects-"));
    if (kind === "memory") {
      store = new MemoryStore();
      return;
    }
    if (kind === "folders") {
      store = new FileStore();
      return;
    }
    emulator = await startStorage({ root: folder });
    await fetch(`${emulator.url}/storage/v1/b`, { method: "POST", body: '{"name":"bucket"}' });
    store = new GcsStore({ project: "a-project", emulator: emulator.url });
  });

  afterAll(async () => {
    await emulator?.close();
    await rm(folder, { recursive: true });
  });

  const at = (name: string) => ({ bucket: kind === "folders" ? folder : "bucket", name });

  it("are absent until they are written, then whole, with their writers", async () => {
    expect(await store.stat(at("a"))).toBeUndefined();
    const { generation, size } = await store.write(at("a"), "hello", options("0", ["2", "1"]), signal);
    expect(size).toBe(5);
    expect(await store.stat(at("a"))).toMatchObject({ generation, by: ["2", "1"] });
    expect(Buffer.from(await store.read(at("a"), signal)).toString()).toBe("hello");
    expect((await buffer(await store.open(at("a"), signal))).toString()).toBe("hello");
  });

  it("are written from bytes, text and streams", async () => {
    async function* stream() {
      for (let i = 0; i < 20; i += 1) yield await Promise.resolve(Buffer.alloc(100_000, `${i % 10}`));
    }
    await store.write(at("bytes"), Buffer.alloc(1_000_000, "b"), options("0"), signal);
    await store.write(at("stream"), stream(), options("0"), signal);
    expect((await store.read(at("bytes"), signal)).length).toBe(1_000_000);
    expect((await store.read(at("stream"), signal)).length).toBe(2_000_000);
  });

  it("are written only at the generation asked for", async () => {
    const { generation } = await store.write(at("b"), "one", options("0"), signal);
    await expect(store.write(at("b"), "two", options("0"), signal)).rejects.toThrow(GenerationMismatchError);
    await store.write(at("b"), "two", options(generation), signal);
    await expect(store.write(at("b"), "three", options(generation), signal)).rejects.toThrow(GenerationMismatchError);
    expect(Buffer.from(await store.read(at("b"), signal)).toString()).toBe("two");
  });

  it("of two writers at once keep the one that was faster, and its name", async () => {
    for (let i = 0; i < 50; i += 1) {
      const name = `race-${i}`;
      const results = await Promise.allSettled(
        ["a", "b"].map((by) => store.write(at(name), `by ${by}`, options("0", [by]), signal)),
      );
      const winners = results.flatMap((r, n) => (r.status === "fulfilled" ? [["a", "b"][n]] : []));
      expect(winners).toHaveLength(1);
      expect(await store.stat(at(name))).toMatchObject({ by: winners });
      expect(Buffer.from(await store.read(at(name), signal)).toString()).toBe(`by ${winners[0] ?? ""}`);
    }
  });

  it("are not there half when their source breaks", async () => {
    async function* breaking() {
      yield await Promise.resolve(Buffer.alloc(300_000));
      throw new Error("the source broke");
    }
    await expect(store.write(at("broken"), breaking(), options("0"), signal)).rejects.toThrow("the source broke");
    expect(await store.stat(at("broken"))).toBeUndefined();
  });

  it("that are missing say so", async () => {
    await expect(store.read(at("missing"), signal)).rejects.toThrow(InputNotFoundError);
    await expect(store.open(at("missing"), signal)).rejects.toThrow(InputNotFoundError);
  });
});
