import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  type Context,
  defineJob,
  defineTransform,
  type Item,
  type Pipeline,
  type Inputs,
  type TransformDefinition,
} from "@klio/runtime";
import { isAlive } from "@klio/runtime/processes";
import { testJob } from "@klio/runtime/testing";

type Returned = Item<string>;

/** A job of one transform. */
function jobOf(definition: TransformDefinition<Uint8Array, undefined, Returned>) {
  return defineJob({ build: (input: Pipeline<Inputs>) => input.apply(defineTransform("work", definition)) });
}

describe("a transform's timeout", () => {
  it("aborts the call's signal, and what it throws then is a timeout", async () => {
    const tested = testJob(
      jobOf({
        timeout: "2m",
        async process(item, ctx) {
          await new Promise((_, reject) => {
            ctx.signal.addEventListener("abort", () => {
              reject(new Error("stopped in order"));
            });
          });
          return item.with("never");
        },
      }),
    );
    const result = tested.send("x");
    await tested.clock.advance("119s");
    await tested.clock.advance("1s");
    expect((await result).error).toMatchObject({ code: "TIMEOUT" });
    expect((await result).reason).toContain('it took longer than 120000 ms (timeout of transform "work")');
  });

  it("gives up a call that goes on all the same, which can write nothing any more", async () => {
    let goOn: () => void = () => undefined;
    const waiting = new Promise<void>((resolve) => (goOn = resolve));
    let late: unknown;
    const tested = testJob(
      jobOf({
        timeout: "10s",
        async process(item, ctx) {
          await waiting;
          late = await ctx.upload(item, "late").catch((error: unknown) => error);
          return item.with("done");
        },
      }),
    );
    const result = tested.send("x");
    await tested.clock.advance("10s");
    expect((await result).error).toMatchObject({ code: "TIMEOUT" });
    goOn();
    await expect.poll(() => late).toBeInstanceOf(Error);
    expect(tested.output("x")).toBeUndefined();
  });

  it("is for each try, so that a try that took too long is made again", async () => {
    let calls = 0;
    const tested = testJob(
      jobOf({
        timeout: "10s",
        retry: { tries: 2 },
        async process(item, ctx) {
          calls += 1;
          if (calls === 1)
            await new Promise((resolve) => {
              ctx.signal.addEventListener("abort", resolve);
            });
          ctx.signal.throwIfAborted();
          return item.with(`call ${calls}`);
        },
      }),
    );
    const result = tested.send("x");
    await tested.clock.advance("10s");
    expect((await result).messages.map((m) => m.text)).toEqual(["call 2"]);
    expect((await result).attempts).toBe(1);
  });

  it("of a generator does not count what follows it", async () => {
    const slow = defineTransform("slow", {
      async process(item: Item<string>, ctx) {
        if (item.payload === "one") await tested.clock.advance("20s");
        expect(ctx.signal.aborted).toBe(false);
        return item;
      },
    });
    const several = defineTransform("several", {
      timeout: "10s",
      async *process(item) {
        yield item.with("one");
        yield await Promise.resolve(item.with("two"));
      },
    });
    const tested = testJob(defineJob({ build: (input) => input.apply(several).apply(slow) }));
    expect((await tested.send("x")).messages.map((m) => m.text)).toEqual(["one", "two"]);
  });
});

describe("a limit", () => {
  function counting(limit: number | string) {
    let running = 0;
    let most = 0;
    const definition: TransformDefinition<Uint8Array, undefined, Returned> = {
      limit,
      async process(item) {
        running += 1;
        most = Math.max(most, running);
        await sleep(5);
        running -= 1;
        return item.with("done");
      },
    };
    return { definition, most: () => most };
  }

  it("bounds the calls of a transform", async () => {
    const { definition, most } = counting(2);
    const tested = testJob(jobOf(definition), { concurrency: 10 });
    await Promise.all(Array.from({ length: 10 }, (_, i) => tested.send(`x-${i}`)));
    expect(most()).toBe(2);
  });

  it("is shared by the transforms that name it", async () => {
    const { definition, most } = counting("gpu");
    const job = defineJob({
      build: (input) =>
        input.apply(defineTransform("a", definition)).apply(
          defineTransform("b", {
            ...definition,
            process: (item: Item<string>, ctx) => definition.process(item.with(Buffer.alloc(0)), ctx),
          }),
        ),
    });
    const tested = testJob(job, { concurrency: 10, limits: { gpu: 3 } });
    await Promise.all(Array.from({ length: 10 }, (_, i) => tested.send(`x-${i}`)));
    expect(most()).toBe(3);
  });

  it("that klio-job.yaml does not have is an error before anything runs", async () => {
    const { definition } = counting("gpu");
    await expect(testJob(jobOf(definition), { limits: { cpu: 1 } }).send("x")).rejects.toThrow(
      'node work takes part in the limit "gpu", which klio-job.yaml does not have (it has: cpu)',
    );
  });

  it("is not held by a generator that waits, so that what follows can have it", async () => {
    const one = { limit: "one" } as const;
    const several = defineTransform("several", {
      ...one,
      async *process(item) {
        yield await Promise.resolve(item.with("1"));
        yield item.with("2");
      },
    });
    const next = defineTransform("next", { ...one, process: (item: Item<string>) => item.with(`${item.payload}!`) });
    const tested = testJob(defineJob({ build: (input) => input.apply(several).apply(next) }), { limits: { one: 1 } });
    expect((await tested.send("x")).messages.map((m) => m.text)).toEqual(["1!", "2!"]);
  });
});

describe("retry", () => {
  it("calls a generator again only as long as it has put out nothing", async () => {
    let calls = 0;
    const flaky = (failAfter: number) =>
      defineJob({
        build: (input) =>
          input.apply(
            defineTransform("flaky", {
              retry: { tries: 3, delay: "1h" },
              async *process(item) {
                calls += 1;
                for (let i = 0; i < 3; i += 1) {
                  if (i === failAfter && calls === 1) throw new Error("not yet");
                  yield await Promise.resolve(item.with(`${i}`));
                }
              },
            }),
          ),
      });
    expect((await testJob(flaky(0)).send("x")).messages.map((m) => m.text)).toEqual(["0", "1", "2"]);
    calls = 0;
    expect((await testJob(flaky(1)).send("x")).outcome).toBe("dead-letter");
  });

  it("is not for what comes after it", async () => {
    let calls = 0;
    const first = defineTransform("first", {
      retry: { tries: 5 },
      process(item) {
        calls += 1;
        return item;
      },
    });
    const second = defineTransform("second", {
      process(): Returned {
        throw new Error("broken");
      },
    });
    const tested = testJob(defineJob({ build: (input) => input.apply(first).apply(second) }));
    expect((await tested.send("x")).error?.message).toBe("broken");
    expect(calls).toBe(1);
  });

  it.each([
    [{ retry: { tries: 0 } }, "retry.tries is a whole number from 1, not 0"],
    [{ timeout: 0 }, "timeout is a whole number from 1, not 0"],
    [{ timeout: "1001h" as const }, "timeout is at most 1000h, not 3603600000 ms"],
    [{ limit: 1.5 }, "limit is a whole number from 1, not 1.5"],
    [{ retry: { tries: 1, delay: "soon" as "1s" } }, 'retry.delay is like "500ms"'],
  ])("%j is refused", (more, message) => {
    expect(() =>
      jobOf({ ...more, process: (item) => item.with("") }).build({ apply: () => undefined } as never, {} as never),
    ).toThrow(message);
  });
});

describe("a program", () => {
  const run = (process: (item: Item, ctx: Context) => Promise<Returned>, options = {}) =>
    testJob(jobOf({ process, timeout: "1h" }), options);

  it("is run without a shell, with its input, and gives its output", async () => {
    const tested = run(async (item, ctx) => {
      const { stdout } = await ctx.exec("cat", ["-"], { input: "$(touch x); hello" });
      return item.with(Buffer.from(stdout).toString());
    });
    expect((await tested.send("x")).messages[0]?.text).toBe("$(touch x); hello");
  });

  it("that fails says which, how, and what it wrote", async () => {
    const tested = run(async (item, ctx) => {
      await ctx.exec("sh", ["-c", "echo broken pipe dream >&2; exit 7"]);
      return item.with("never");
    });
    const { error } = await tested.send("x");
    expect(error?.code).toBe("EXEC");
    expect(error?.message).toMatch(/^sh -c .* failed with exit code 7\nbroken pipe dream$/);
    const missing = run(async (item, ctx) => {
      await ctx.exec("no-such-program");
      return item.with("never");
    });
    expect((await missing.send("x")).error?.message).toContain("no-such-program could not be started");
  });

  it("puts out no more than it may", async () => {
    const tested = run(async (item, ctx) => {
      await ctx.exec("head", ["-c", "100000", "/dev/zero"], { maxBytes: 1_000 });
      return item.with("never");
    });
    expect((await tested.send("x")).error?.message).toContain("put out more than maxBytes");
  });

  it("streams, in bounded memory, through as many programs as one likes", async () => {
    const tested = run(async (item, ctx) => {
      const numbers = ctx.execStream("seq", ["1", "200000"]);
      const { stdout } = await ctx.exec("wc", ["-l"], { input: ctx.execStream("grep", ["7"], { input: numbers }) });
      return item.with(Buffer.from(stdout).toString().trim());
    });
    expect((await tested.send("x")).messages[0]?.text).toBe(String(countSevens(200_000)));
    const broken = run(async (item, ctx) => {
      for await (const _ of ctx.execStream("sh", ["-c", "echo some; exit 3"]));
      return item.with("never");
    });
    expect((await broken.send("x")).error?.message).toContain("failed with exit code 3");
  });

  it("dies with the call, and so does what it started", async () => {
    let marker = "";
    let started: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => (started = resolve));
    const tested = run(async (item, ctx) => {
      marker = join(await ctx.folder(), "pid");
      const running = ctx.exec("sh", ["-c", `sleep 1000 & echo $! > ${marker}; wait`]);
      await expect.poll(() => existsSync(marker)).toBe(true);
      started();
      await running;
      return item.with("never");
    });
    const result = tested.send("x");
    await begun;
    await expect.poll(() => readFileSync(marker, "utf8").trim()).not.toBe("");
    const pid = Number(readFileSync(marker, "utf8"));
    await tested.clock.advance("1h");
    expect((await result).error?.code).toBe("TIMEOUT");
    await expect.poll(() => isAlive(pid)).toBe(false);
    expect(existsSync(dirname(marker))).toBe(false);
  });
});

describe("temporary files", () => {
  it("are gone when the message is done, however it ends", async () => {
    const folders: string[] = [];
    const tested = testJob(
      jobOf({
        async process(item, ctx) {
          const folder = await ctx.folder();
          folders.push(folder);
          writeFileSync(join(folder, "x"), "x");
          folders.push(await ctx.file(item));
          if (item.element === "bad") throw new Error("bad");
          return item.with("good");
        },
      }),
      { objects: { good: "1", bad: "2" } },
    );
    expect((await tested.send("good")).outcome).toBe("processed");
    expect((await tested.send("bad")).outcome).toBe("dead-letter");
    expect(folders.filter((f) => existsSync(f))).toEqual([]);
  });
});

function countSevens(to: number): number {
  let count = 0;
  for (let i = 1; i <= to; i += 1) if (String(i).includes("7")) count += 1;
  return count;
}
