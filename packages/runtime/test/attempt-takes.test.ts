import { Cancellation } from "../src/engine/cancellation.js";
import { buffer } from "node:stream/consumers";
import { readFile } from "node:fs/promises";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { realClock } from "../src/clock.js";
import { type AttemptResult, runAttempt } from "../src/engine/attempt.js";
import { layOut } from "../src/engine/graph.js";
import { defineJob, defineTransform, type Job } from "../src/index.js";
import { requestMessage } from "../src/message/index.js";
import { MemoryStore } from "../src/objects/memory-store.js";
import { testConfig } from "../src/testing/test-config.js";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "klio-takes-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** Takes the element "a" through a job whose input object has 100,000 bytes. */
async function attempt(job: Job): Promise<AttemptResult> {
  const config = testConfig({ objects: {} });
  const store = new MemoryStore();
  store.put({ bucket: "test-input", name: "a" }, Buffer.alloc(100_000));
  const engine = {
    config,
    graph: await layOut(job, config),
    store,
    states: new Map<string, unknown>(),
    temporaryFolder: () => mkdtemp(join(folder, "item-")),
    draining: () => false,
    clock: realClock,
    limits: { acquire: () => Promise.resolve(() => undefined) },
    backends: [],
    abandonAfterMs: undefined,
  };
  const sink = { log: ignore, metric: ignore, enter: ignore, leave: ignore };
  const cancellation = new Cancellation();
  const input = { klioId: "1", input: "pubsub0", attempt: 1, message: requestMessage({ element: "a" }), cancellation };
  return runAttempt(engine, { ...input, trace: undefined }, sink);
}

function ignore(): void {
  // Only what the attempt took is looked at.
}

describe("what an attempt took", () => {
  it("counts the bytes of input objects, whole, streamed, and as files", async () => {
    const read = defineTransform("read", {
      async process(item, ctx) {
        expect((await ctx.read(item)).length).toBe(100_000);
        expect((await buffer(await ctx.open(item))).length).toBe(100_000);
        expect((await readFile(await ctx.file(item))).length).toBe(100_000);
        return item;
      },
    });
    const result = await attempt(defineJob({ build: (input) => input.apply(read) }));
    expect(result).toMatchObject({ kind: "processed", bytesRead: 300_000 });
  });

  it("counts only what arrived of a stream that was left, and of the attempt that failed too", async () => {
    const glance = defineTransform("glance", {
      async process(item, ctx) {
        await ctx.read(item);
        (await ctx.open(item)).destroy();
        if (item.element === "a") throw new Error("seen enough");
        return item;
      },
    });
    const result = await attempt(defineJob({ build: (input) => input.apply(glance) }));
    expect(result).toMatchObject({ kind: "failed", bytesRead: 100_000 });
  });

  it("counts the calls of a node's code, not the steps of a generator", async () => {
    const split = defineTransform("split", {
      async *process(item) {
        for (let i = 0; i < 3; i += 1) yield await Promise.resolve(item);
      },
    });
    let tries = 0;
    const again = defineTransform("again", {
      retry: { tries: 2 },
      process(item) {
        tries += 1;
        if (tries === 1) throw new Error("once");
        return item;
      },
    });
    const result = await attempt(defineJob({ build: (input) => input.apply(split).apply(again) }));
    expect(result.nodes.map(({ node, calls }) => [node, calls])).toEqual([
      ["split", 1],
      ["again", 4],
    ]);
  });
});
