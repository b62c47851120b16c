import { describe, expect, it } from "vitest";
import { defineJob, defineTransform, type Item, type MetricReport, PermanentError } from "@klio/runtime";
import { testJob } from "@klio/runtime/testing";

type Process = (item: Item, call: number) => Promise<Item<string>> | Item<string>;

/** A job whose one transform is told how often it was called. */
function jobOf(process: Process) {
  let calls = 0;
  const work = defineTransform("work", { process: (item) => process(item, (calls += 1)) });
  return defineJob({ build: (input) => input.apply(work) });
}

const failing = jobOf((item) => {
  throw new Error(`no ${item.element}`);
});

function withItself(error: Error): Error {
  error.cause = error;
  return error;
}

describe("attempts", () => {
  it("are made again after a growing delay until one succeeds, and counted", async () => {
    const tested = testJob(
      jobOf((item, call) => {
        if (call < 4) throw new Error("not yet");
        return item.with(`call ${call}`);
      }),
      { attempts: 5, retryDelay: "1s" },
    );
    const before = tested.clock.now();
    const result = await tested.send("x");
    expect(result).toMatchObject({ outcome: "processed", attempts: 4, charged: 3, acknowledged: true });
    expect(tested.clock.now() - before).toBe(1_000 + 2_000 + 4_000);
  });

  it("end in a dead letter with the message's own bytes, and the reason as attributes", async () => {
    const tested = testJob(failing, { attempts: 3 });
    const result = await tested.send({ element: "x", payload: "p", klioId: "own" });
    expect(result).toMatchObject({ outcome: "dead-letter", attempts: 3, charged: 3, acknowledged: true, messages: [] });
    expect(result.deadLetter?.attributes).toMatchObject({
      "klio-id": "own",
      "klio-dead-letter-reason": "no x",
      "klio-dead-letter-node": "work",
      "klio-dead-letter-attempts": "3",
    });
    expect(Buffer.from(result.deadLetter?.data ?? []).includes("p")).toBe(true);
  });

  it("fail with a message and a stack that are cut when they are very long", async () => {
    const shouting = jobOf(() => {
      throw new PermanentError("x".repeat(20_000_000));
    });
    const { error } = await testJob(shouting).send("x");
    expect(error?.message).toMatch(/^x{65536}… \(20000000 characters\)$/);
    expect(error?.stack.length).toBeLessThan(66_000);
  });

  it.each([
    ["no text", () => Object.create(null) as unknown, "what was thrown cannot be shown as text"],
    ["an error without a message", () => Object.assign(new Error(), { message: undefined }), "undefined"],
    ["an error that caused itself", () => withItself(new Error("round")), "round"],
  ])("fail also with %s", async (_what, thrown, message) => {
    const odd = jobOf(() => {
      throw thrown();
    });
    const { outcome, error } = await testJob(odd, { attempts: 1 }).send("x");
    expect({ outcome, message: error?.message }).toEqual({ outcome: "dead-letter", message });
  });

  it("are not made where no further one will help", async () => {
    const permanent = jobOf(() => {
      throw new PermanentError("never", { code: "NEVER" });
    });
    const result = await testJob(permanent, { attempts: 5 }).send("x");
    expect(result).toMatchObject({ outcome: "dead-letter", attempts: 1, error: { code: "NEVER", permanent: true } });
    const raw = await testJob(failing).send({ data: Buffer.from([0xff, 0xff]) });
    expect(raw).toMatchObject({ outcome: "dead-letter", attempts: 0 });
    expect(raw.deadLetter?.attributes["klio-dead-letter-code"]).toBe("UNDECODABLE");
  });
});

describe("a repeated message", () => {
  it("is not processed again, but when the first became a dead letter", async () => {
    let calls = 0;
    const tested = testJob(
      jobOf((item) => {
        calls += 1;
        if (calls === 1) throw new Error("once");
        return item.with("done");
      }),
    );
    expect((await tested.send({ element: "x", klioId: "same" })).outcome).toBe("dead-letter");
    expect((await tested.send({ element: "x", klioId: "same" })).outcome).toBe("processed");
    expect((await tested.send({ element: "x", klioId: "same" })).outcome).toBe("duplicate");
    expect(calls).toBe(2);
  });

  it("that comes while the first is in hand is acknowledged with it", async () => {
    const tested = testJob(jobOf(async (item) => Promise.resolve(item.with("done"))));
    const both = await Promise.all([1, 2].map(() => tested.send({ element: "x", klioId: "same" })));
    expect(both.map((r) => r.acknowledged)).toEqual([true, true]);
    expect(both[0]?.messages).toHaveLength(1);
  });
});

describe("messages of one ordering key", () => {
  it("keep their order also when one passes through, as a ping does", async () => {
    let goOn: () => void = () => undefined;
    const waiting = new Promise<void>((resolve) => (goOn = resolve));
    const tested = testJob(
      jobOf(async (item) => {
        await waiting;
        return item.with("done");
      }),
    );
    const ends: string[] = [];
    const send = async (element: string, ping: boolean, orderingKey: string) => {
      ends.push(`${element} ${(await tested.send({ element, ping, orderingKey })).outcome}`);
    };
    const sent = [send("a", false, "k"), send("b", true, "k"), send("c", true, "another")];
    await sent[2];
    goOn();
    await Promise.all(sent);
    expect(ends).toEqual(["c passed-through", "a processed", "b passed-through"]);
  });

  it("are processed one after the other, also when one is tried again", async () => {
    const order: string[] = [];
    const tested = testJob(
      jobOf((item, call) => {
        order.push(item.element);
        if (call === 1) throw new Error("once");
        return item.with("done");
      }),
      { attempts: 2, concurrency: 10 },
    );
    await Promise.all(["a", "b", "c"].map((element) => tested.send({ element, orderingKey: "k" })));
    expect(order).toEqual(["a", "a", "b", "c"]);
  });
});

describe("when everything fails", () => {
  it("the job pauses instead of dead-lettering its backlog, and goes on once a message succeeds", async () => {
    let broken = true;
    const tested = testJob(
      jobOf((item) => {
        if (broken) throw new Error("the model server is down");
        return item.with("done");
      }),
      { attempts: 3, pauseAfter: 3, concurrency: 2 },
    );
    const results = Array.from({ length: 10 }, (_, i) => tested.send(`x-${i}`));
    await expect.poll(() => tested.status()).toMatchObject({ ready: false, state: "paused" });
    await tested.clock.advance("10m");
    expect(tested.status().state).toBe("paused");
    broken = false;
    await tested.clock.advance("1m");
    expect(tested.status()).toEqual({ ready: true, state: "ready", reason: "" });
    const all = await Promise.all(results);
    expect(all.map((r) => r.outcome)).toEqual(all.map(() => "processed"));
  });

  it("the job receives a message to try when none is left, and one after the other while they say nothing of the others", async () => {
    let mode: "broken" | "permanent" | "mended" = "broken";
    const tested = testJob(
      jobOf((item) => {
        if (mode === "broken") throw new Error("the model server is down");
        if (mode === "permanent") throw new PermanentError("it is no recording");
        return item.with("done");
      }),
      { attempts: 3, pauseAfter: 3, concurrency: 2 },
    );
    const first = ["x-1", "x-2", "x-3"].map((element) => tested.send(element));
    await expect.poll(() => tested.status().state).toBe("paused");
    mode = "permanent";
    await tested.clock.advance("5s");
    expect((await Promise.all(first)).map((r) => r.outcome)).toEqual(["dead-letter", "dead-letter", "dead-letter"]);
    const later = ["x-4", "x-5"].map((element) => tested.send(element));
    mode = "mended";
    await tested.clock.advance("1m");
    expect((await Promise.all(later)).map((r) => r.outcome)).toEqual(["processed", "processed"]);
    expect(tested.status().ready).toBe(true);
  });

  it("the job tries one although another is still worked on", async () => {
    let broken = true;
    let goOn: () => void = () => undefined;
    const waiting = new Promise<void>((resolve) => (goOn = resolve));
    const tested = testJob(
      jobOf(async (item) => {
        if (item.element === "slow") await waiting;
        else if (broken) throw new Error("the model server is down");
        return item.with("done");
      }),
      { attempts: 3, pauseAfter: 3, concurrency: 4 },
    );
    const slow = tested.send("slow");
    const others = ["x-1", "x-2", "x-3"].map((element) => tested.send(element));
    await expect.poll(() => tested.status().state).toBe("paused");
    broken = false;
    await tested.clock.advance("5s");
    await expect.poll(() => tested.status().state).toBe("ready");
    expect((await Promise.all(others)).map((r) => r.outcome)).toEqual(["processed", "processed", "processed"]);
    goOn();
    expect((await slow).outcome).toBe("processed");
  });

  it("goes on receiving until there is one to try", async () => {
    let broken = true;
    const tested = testJob(
      jobOf((item) => {
        if (item.element === "x-1")
          throw broken ? new Error("the model server is down") : new PermanentError("no recording");
        return item.with("done");
      }),
      { attempts: 3, pauseAfter: 1 },
    );
    const first = tested.send("x-1");
    await expect.poll(() => tested.status().state).toBe("paused");
    broken = false;
    await tested.clock.advance("5s");
    expect((await first).outcome).toBe("dead-letter");
    const later = ["ping-1", "ping-2", "x-2"].map((element) =>
      tested.send({ element, ping: element.startsWith("ping") }),
    );
    await tested.clock.advance("10s");
    expect((await Promise.all(later)).map((r) => r.outcome)).toEqual(["passed-through", "passed-through", "processed"]);
    expect(tested.status().ready).toBe(true);
  });

  it("gives back what it has not received when it stops", async () => {
    const tested = testJob(failing, { attempts: 3, pauseAfter: 1 });
    const first = tested.send("x-1");
    await expect.poll(() => tested.status().state).toBe("paused");
    const later = tested.send("x-2");
    const stopped = tested.stop();
    await tested.clock.advance("1m");
    await stopped;
    expect((await Promise.all([first, later])).map((r) => r.outcome)).toEqual(["given-back", "given-back"]);
  });

  it("does not pause for some bad messages among good ones", async () => {
    const tested = testJob(
      jobOf((item) => {
        if (item.element.startsWith("bad")) throw new Error("bad");
        return item.with("done");
      }),
      { pauseAfter: 3 },
    );
    const outcomes: string[] = [];
    for (const element of ["bad-1", "bad-2", "good", "bad-3", "bad-4", "good-2", "bad-5"]) {
      outcomes.push((await tested.send(element)).outcome);
    }
    expect(outcomes.filter((o) => o === "dead-letter")).toHaveLength(5);
    expect(tested.status().ready).toBe(true);
  });
});

describe("stopping", () => {
  it("finishes what is in hand, tears down, and gives back what does not end", async () => {
    let tornDown = 0;
    let goOn: () => void = () => undefined;
    const waiting = new Promise<void>((resolve) => (goOn = resolve));
    const work = defineTransform("work", {
      setup: () => ({ model: "m" }),
      teardown: () => {
        tornDown += 1;
      },
      async process(item, ctx) {
        if (item.element === "stuck")
          await new Promise((resolve) => {
            ctx.signal.addEventListener("abort", resolve);
          });
        else await waiting;
        ctx.signal.throwIfAborted();
        return item.with(String(ctx.draining));
      },
    });
    const tested = testJob(defineJob({ build: (input) => input.apply(work) }));
    const results = [tested.send("good"), tested.send("stuck")];
    await expect.poll(() => tested.status().ready).toBe(true);
    const stopped = tested.stop();
    goOn();
    const good = await results[0];
    expect(good).toMatchObject({ outcome: "processed" });
    expect(good?.messages[0]?.text).toBe("true");
    await tested.clock.advance("30s");
    await stopped;
    expect(await results[1]).toMatchObject({ outcome: "given-back", acknowledged: false });
    expect(tornDown).toBe(1);
  });
});

describe("metrics and logs", () => {
  it("of user code carry their node and tags, and reach back-ends of one's own", async () => {
    const reported: MetricReport[] = [];
    let closed = false;
    const job = defineJob({
      metrics: ({ job_name }) => [
        {
          report: (metric) => {
            reported.push(metric);
            expect(job_name).toBe("test-job");
            if (metric.kind === "gauge") throw new Error("the agent is gone");
          },
          close: () => {
            closed = true;
          },
        },
      ],
      build: (input) =>
        input.apply(
          defineTransform("work", {
            process(item, ctx) {
              ctx.metrics.counter("frames", { codec: "opus" }).inc(3);
              ctx.metrics.gauge("peak").set(0.5);
              const timer = ctx.metrics.timer("decode");
              expect(timer.stop()).toBe(timer.stop());
              ctx.logger.info("decoded", { frames: 3 });
              return item.with("done");
            },
          }),
        ),
    });
    const tested = testJob(job);
    const { metrics, logs, outcome } = await tested.send("x");
    expect(outcome).toBe("processed");
    expect(metrics.map(({ kind, name, node, tags }) => ({ kind, name, node, tags }))).toEqual([
      { kind: "counter", name: "frames", node: "work", tags: { codec: "opus" } },
      { kind: "gauge", name: "peak", node: "work", tags: {} },
      { kind: "timer", name: "decode", node: "work", tags: {} },
    ]);
    expect(metrics[0]?.value).toBe(3);
    expect(reported).toEqual(metrics);
    expect(logs.map((l) => l.message)).toEqual(["a metrics back-end failed: the agent is gone", "decoded"]);
    expect(logs[1]).toMatchObject({ node: "work", fields: { frames: 3, element: "x" } });
    await tested.stop();
    expect(closed).toBe(true);
  });
});
