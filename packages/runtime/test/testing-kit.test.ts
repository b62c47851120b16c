import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { defineJob, defineTransform, type Item, type TransformDefinition } from "@klio/runtime";
import { testJob } from "@klio/runtime/testing";

/** What is thrown need not be an Error. */
const noError = "text" as unknown as Error;

type Definition = TransformDefinition<Uint8Array, undefined, Item<string>>;

function jobOf(definition: Definition) {
  return defineJob({ build: (input) => input.apply(defineTransform("work", definition)) });
}

const passing = jobOf({ process: (item) => item.with("done") });

describe("a message that is sent to a job under test", () => {
  it("is given back once the job was stopped", async () => {
    const tested = testJob(passing);
    expect((await tested.send("before")).outcome).toBe("processed");
    await tested.stop();
    const result = await tested.send("after");
    expect(result).toMatchObject({ outcome: "given-back", acknowledged: false, attempts: 0, messages: [] });
    expect(result.reason).toBe("the job was stopped");
    await tested.stop();
  });

  it("is given back while the job stops, and when it never began", async () => {
    const tested = testJob(
      jobOf({
        async process(item) {
          await sleep(20);
          return item.with("done");
        },
      }),
    );
    const before = tested.send("before");
    await expect.poll(() => tested.status().ready).toBe(true);
    const stopped = tested.stop();
    expect((await tested.send("during")).outcome).toBe("given-back");
    expect((await before).outcome).toBe("processed");
    await stopped;

    const unbegun = testJob(passing);
    await unbegun.stop();
    expect((await unbegun.send("x")).outcome).toBe("given-back");
  });

  it("is given back when the job is stopped before it has begun", async () => {
    const tested = testJob(passing);
    const sent = tested.send("x");
    const stopped = tested.stop();
    expect(await sent).toMatchObject({ outcome: "given-back", acknowledged: false });
    await stopped;
  });
});

describe("the jump over a delay", () => {
  /** `flaky` fails five times over 31 s; `slow` takes a moment of real time. */
  const both = (definition: Omit<Definition, "process">) => {
    let failed = 0;
    return jobOf({
      ...definition,
      async process(item) {
        if (item.element === "slow") await sleep(50);
        else if ((failed += 1) <= 5) throw new Error("not yet");
        return item.with("done");
      },
    });
  };
  const outcomes = async (tested: ReturnType<typeof testJob>) =>
    (await Promise.all([tested.send("slow"), tested.send("flaky")])).map((r) => [r.outcome, r.charged]);

  it("does not pass the time limit of another call", async () => {
    const tested = testJob(both({ timeout: "10s" }), { attempts: 6 });
    expect(await outcomes(tested)).toEqual([
      ["processed", 0],
      ["processed", 5],
    ]);
  });

  it("does not pass the time limit of another attempt", async () => {
    const tested = testJob(both({}), { attempts: 6, timeout: "10s" });
    expect(await outcomes(tested)).toEqual([
      ["processed", 0],
      ["processed", 5],
    ]);
  });

  it("does not wait for a call without a time limit, nor for one whose limit is later", async () => {
    for (const timeout of [undefined, "1m" as const]) {
      let goOn: () => void = () => undefined;
      const waiting = new Promise<void>((resolve) => (goOn = resolve));
      let failed = 0;
      const tested = testJob(
        jobOf({
          ...(timeout === undefined ? {} : { timeout }),
          async process(item) {
            if (item.element === "waits") await waiting;
            else if ((failed += 1) <= 3) throw new Error("not yet");
            return item.with("done");
          },
        }),
        { attempts: 4 },
      );
      const waits = tested.send("waits");
      expect((await tested.send("flaky")).outcome).toBe("processed");
      goOn();
      expect((await waits).outcome).toBe("processed");
    }
  });

  it("passes the time limit of an attempt that waits for its next try itself", async () => {
    const tested = testJob(
      jobOf({
        retry: { tries: 3, delay: "1h" },
        process() {
          throw new Error("not yet");
        },
      }),
      { timeout: "30m" },
    );
    expect((await tested.send("x")).error).toMatchObject({ code: "TIMEOUT" });
  });

  it("is over tries within a call as well, while another has no time to lose", async () => {
    let failed = 0;
    const tested = testJob(
      jobOf({
        timeout: "10s",
        retry: { tries: 6, delay: "9s" },
        async process(item) {
          if (item.element === "slow") await sleep(50);
          else if ((failed += 1) <= 5) throw new Error("not yet");
          return item.with("done");
        },
      }),
    );
    expect(await outcomes(tested)).toEqual([
      ["processed", 0],
      ["processed", 0],
    ]);
  });
});

describe("a call whose time is up, and that goes on", () => {
  const hanging = jobOf({ process: () => new Promise(() => undefined) });

  it("is given up two seconds after the attempt's time", async () => {
    const tested = testJob(hanging, { timeout: "10s" });
    let ended = false;
    const sent = tested.send("x").finally(() => (ended = true));
    await tested.clock.advance("10s");
    expect(ended).toBe(false);
    await tested.clock.advance("2s");
    expect((await sent).error).toMatchObject({ code: "TIMEOUT" });
  });
});

describe("a job without a data output", () => {
  it("has none in a test that says so either", async () => {
    const job = jobOf({
      async process(item, ctx) {
        await ctx.upload(item, "x");
        return item.with("done");
      },
    });
    expect((await testJob(job).send("x")).outcome).toBe("processed");
    const { error } = await testJob(job, { dataOutput: false }).send("x");
    expect(error?.message).toContain("data output");
  });
});

describe("a message whose input is missing", () => {
  it("is sent to the parents, which the result tells", async () => {
    const tested = testJob(passing, { objects: {}, parents: ["cut", "join"] });
    const result = await tested.send({ element: "x", payload: "p" });
    expect(result).toMatchObject({ outcome: "sent-upstream", acknowledged: true, messages: [] });
    expect(result.upstream.map(({ parent, element, text }) => [parent, element, text])).toEqual([
      ["cut", "x", "p"],
      ["join", "x", "p"],
    ]);
    tested.putInput("y", "here");
    expect((await tested.send("y")).upstream).toEqual([]);
  });
});

describe("a setup that throws", () => {
  it("rejects with the user's own error", async () => {
    const own = Object.assign(new RangeError("no model"), { code: "NO_MODEL" });
    const failing = defineTransform("work", {
      setup: () => {
        throw own;
      },
      process: (item) => item.with("done"),
    });
    const tested = testJob(defineJob({ build: (input) => input.apply(failing) }));
    await expect(tested.send("x")).rejects.toBe(own);
    await expect(tested.send("y")).rejects.toBe(own);
  });

  it("rejects with an Error also for what is none, and a wrong graph with its code", async () => {
    const failing = defineTransform("work", {
      setup: () => Promise.reject(noError),
      process: (item) => item.with("done"),
    });
    await expect(testJob(defineJob({ build: (input) => input.apply(failing) })).send("x")).rejects.toThrow("text");
    const limited = jobOf({ limit: "gpu", process: (item) => item.with("done") });
    await expect(testJob(limited).send("x")).rejects.toMatchObject({ code: expect.stringMatching(/^JOB_/) as string });
  });
});
