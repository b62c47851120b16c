import { describe, expect, it } from "vitest";
import { MemoryStore } from "../src/objects/memory-store.js";
import { GenerationMismatchError } from "../src/objects/store.js";
import { judge, OvertakenError, rememberedRequests, type Request, uploadOnce } from "../src/objects/upload-rule.js";

const path = { bucket: "bucket", name: "object" };
const { signal } = new AbortController();
const contentType = "text/plain";

async function attempt(store: MemoryStore, request: Request, data: string) {
  const finding = judge(await store.stat(path), request);
  return uploadOnce(store, path, data, { finding, request, contentType }, signal);
}

describe("an upload", () => {
  it("is made once for each request, however often it is attempted", async () => {
    const store = new MemoryStore();
    const request = { id: "1", force: false };
    expect((await attempt(store, request, "first")).write).toBe("uploaded");
    expect((await attempt(store, request, "second")).write).toBe("adopted");
    expect(Buffer.from(await store.read(path)).toString()).toBe("first");
  });

  it("leaves what another request made, unless it is forced; forced, it is made once as well", async () => {
    const store = new MemoryStore();
    await attempt(store, { id: "1", force: false }, "first");
    expect((await attempt(store, { id: "2", force: false }, "second")).write).toBe("kept");
    expect((await attempt(store, { id: "3", force: true }, "third")).write).toBe("uploaded");
    expect((await attempt(store, { id: "3", force: true }, "fourth")).write).toBe("adopted");
    expect(Buffer.from(await store.read(path)).toString()).toBe("third");
    expect((await store.stat(path))?.by).toEqual(["3", "1"]);
  });

  it("never overwrites what was written since the attempt looked", async () => {
    const store = new MemoryStore();
    const late = { id: "1", force: false };
    const finding = judge(await store.stat(path), late);
    await attempt(store, { id: "2", force: true }, "newer");
    await expect(uploadOnce(store, path, "late", { finding, request: late, contentType }, signal)).rejects.toThrow(
      OvertakenError,
    );
    expect(Buffer.from(await store.read(path)).toString()).toBe("newer");
  });

  it("whose reply was lost is adopted when the client's own repetition is refused", async () => {
    const store = new MemoryStore();
    const write = store.write.bind(store);
    store.write = async (...args) => {
      await write(...args);
      throw new GenerationMismatchError("412 to the repetition");
    };
    expect((await attempt(store, { id: "1", force: false }, "once")).write).toBe("adopted");
    expect(store.objects.size).toBe(1);
  });

  it("remembers a bounded number of requests", async () => {
    const store = new MemoryStore();
    for (let i = 0; i < 40; i += 1) await attempt(store, { id: `${i}`, force: true }, `${i}`);
    const by = (await store.stat(path))?.by ?? [];
    expect(by).toHaveLength(rememberedRequests);
    expect(by[0]).toBe("39");
  });
});
