import { describe, expect, it } from "vitest";
import { defineJob, defineTransform } from "@klio/runtime";
import { realClock } from "../src/clock.js";
import { layOut } from "../src/engine/graph.js";
import { Limits } from "../src/limits.js";
import { MemoryStore } from "../src/objects/memory-store.js";
import { testConfig } from "../src/testing/test-config.js";
import { Performer } from "../src/worker/performer.js";

/** What is thrown need not be an Error. */
const noError = "text" as unknown as Error;

describe("tearing down", () => {
  it("goes on where one fails, says which, and closes every back-end", async () => {
    const done: string[] = [];
    const step = (name: string, teardown: () => void | Promise<void>) =>
      defineTransform(name, { teardown, process: (item) => item });
    const backend = (name: string, close: () => void) => ({
      report: () => undefined,
      close: () => {
        done.push(name);
        close();
      },
    });
    const job = defineJob({
      metrics: () => [
        backend("first back-end", () => {
          throw new Error("no agent");
        }),
        backend("second back-end", () => undefined),
      ],
      build: (input) =>
        input
          .apply(
            step("throws", () => {
              throw new RangeError("broken");
            }),
          )
          .apply(step("rejects", () => Promise.reject(noError)))
          .apply(step("works", () => void done.push("works"))),
    });
    const config = testConfig({});
    const graph = await layOut(job, config);
    const [store, limits] = [new MemoryStore(), new Limits({})];
    const performer = await Performer.make({ job, graph, config, store, clock: realClock, limits });
    const said: string[] = [];
    await performer.tearDown((message) => said.push(message));
    expect(done).toEqual(["works", "first back-end", "second back-end"]);
    expect(said).toEqual([
      expect.stringMatching(/^teardown of node throws failed: RangeError: broken\n {4}at /),
      "teardown of node rejects failed: text",
      expect.stringMatching(/^closing a metrics back-end failed: Error: no agent\n/),
    ]);
  });
});
