import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Context, defineJob, defineTransform, type Item } from "@klio/runtime";
import { endProcesses, isAlive } from "@klio/runtime/processes";
import { testJob } from "@klio/runtime/testing";

type Work = (item: Item, ctx: Context) => Promise<unknown>;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "klio-programs-"));
});

afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

/** A job of one transform, which puts out what the work returns as text. */
function testing(work: Work, more: { readonly tries?: number; readonly timeout?: "10s" } = {}) {
  const { tries = 1, ...rest } = more;
  const transform = defineTransform("work", {
    ...rest,
    retry: { tries },
    process: async (item: Item, ctx) => item.with(String(await work(item, ctx))),
  });
  return testJob(defineJob({ build: (input) => input.apply(transform) }));
}

/** The id of a process that has written it into a file. */
async function pidIn(name: string): Promise<number> {
  const file = join(folder, name);
  await expect.poll(() => existsSync(file) && readFileSync(file, "utf8").endsWith("\n")).toBe(true);
  return Number(readFileSync(file, "utf8"));
}

/** A script that writes down its id and goes on for long. */
const long = (name: string) => ["-c", `echo $$ > ${join(folder, name)}; exec sleep 1000`];

describe("a program ends", () => {
  it("before the message is done, when something else in its call fails", async () => {
    const tested = testing(async (_, ctx) => {
      const failing = pidIn("pid").then(() => {
        throw new Error("no such recording");
      });
      await Promise.all([ctx.exec("sh", long("pid")), failing]);
    });
    expect((await tested.send("x")).error?.message).toBe("no such recording");
    expect(isAlive(await pidIn("pid"))).toBe(false);
  });

  it("before the next try begins", async () => {
    let tries = 0;
    const tested = testing(
      async (_, ctx) => {
        tries += 1;
        if (tries === 2) return isAlive(await pidIn("pid"));
        const output = ctx.execStream("sh", long("pid"));
        output.resume();
        await pidIn("pid");
        throw new Error("not yet");
      },
      { tries: 2 },
    );
    expect((await tested.send("x")).messages[0]?.text).toBe("false");
  });

  it("with the call that has returned without it, while the message goes on", async () => {
    let gone = false;
    const first = defineTransform("first", {
      async process(item, ctx) {
        void ctx.exec("sh", long("exec"));
        ctx.execStream("sh", long("stream"));
        await pidIn("exec");
        await pidIn("stream");
        return item;
      },
    });
    const second = defineTransform("second", {
      async process(item: Item) {
        const pids = [await pidIn("exec"), await pidIn("stream")];
        await expect.poll(() => pids.some((pid) => isAlive(pid))).toBe(false);
        gone = true;
        return item;
      },
    });
    const tested = testJob(defineJob({ build: (input) => input.apply(first).apply(second) }));
    expect((await tested.send("x")).outcome).toBe("processed");
    expect(gone).toBe(true);
  });

  it("when the upload of what it puts out is refused", async () => {
    const tested = testing(async (item, ctx) => {
      await ctx.upload(item, "first");
      const output = ctx.execStream("sh", long("pid"));
      const pid = await pidIn("pid");
      await ctx.upload(item, output).catch(() => undefined); // DUPLICATE_OUTPUT
      await expect.poll(() => isAlive(pid)).toBe(false);
    });
    expect((await tested.send("x")).outcome).toBe("processed");
  });

  it("with its call, and none is started by a call that has ended", async () => {
    let later: () => void = () => undefined;
    const told = new Promise<void>((resolve) => (later = resolve));
    let late: unknown;
    const tested = testing(async (_, ctx) => {
      void told
        .then(() => ctx.exec("touch", [join(folder, "late")]))
        .catch((error: unknown) => {
          late = error;
        });
      return Promise.resolve("returned");
    });
    expect((await tested.send("x")).outcome).toBe("processed");
    later();
    await expect.poll(() => late).toBeInstanceOf(Error);
    expect(existsSync(join(folder, "late"))).toBe(false);
  });
});

describe("a program that fails before anybody awaits it", () => {
  it("fails whoever does", async () => {
    const tested = testing(async (_, ctx) => {
      const probe = ctx.exec("sh", ["-c", "exit 3"]);
      await sleep(200);
      return probe.catch((error: unknown) => (error as { exitCode: number }).exitCode);
    });
    expect((await tested.send("x")).messages[0]?.text).toBe("3");
  });
});

describe("when its time is up", () => {
  /** Milliseconds until what the call awaits has ended, which nobody else would wait for. */
  const timedOut = async (work: Work) => {
    let ended: number | undefined;
    const timed: Work = async (item, ctx) => {
      try {
        return await work(item, ctx);
      } catch (error) {
        expect(error).toBe(ctx.signal.reason);
        throw error;
      } finally {
        ended = performance.now();
      }
    };
    const tested = testing(timed, { timeout: "10s" });
    const result = tested.send("x");
    await pidIn("pid");
    await sleep(100); // until the shell is gone
    const before = performance.now();
    await tested.clock.advance("10s");
    expect((await result).error?.code).toBe("TIMEOUT");
    await expect.poll(() => ended, { timeout: 5_000 }).toBeDefined();
    return (ended ?? Infinity) - before;
  };
  const ways: readonly (readonly [string, (ctx: Context, script: string) => Promise<unknown>])[] = [
    ["exec", (ctx, script) => ctx.exec("sh", ["-c", script])],
    [
      "execStream",
      async (ctx, script) => {
        for await (const _ of ctx.execStream("sh", ["-c", script]));
      },
    ],
  ];

  it.each(ways)("what a program has left behind with its output is ended: %s", async (_, run) => {
    const script = `setsid sleep 1000 & echo $! > ${join(folder, "pid")}`;
    expect(await timedOut((_, ctx) => run(ctx, script))).toBeLessThan(1_500);
    const pid = await pidIn("pid");
    await expect.poll(() => isAlive(pid)).toBe(false);
  });

  it.each(ways)("and not even that is found, the call ends all the same: %s", async (_, run) => {
    const script = `env -i setsid sh -c 'echo $$ > ${join(folder, "pid")}; exec sleep 1000' &`;
    try {
      expect(await timedOut((_, ctx) => run(ctx, script))).toBeLessThan(1_500);
    } finally {
      process.kill(await pidIn("pid"));
    }
  });
});

describe("the processes of a program", () => {
  const started: ChildProcess[] = [];
  const start = (script: string) => {
    const child = spawn("sh", ["-c", script], { env: { ...process.env, MARK: folder }, stdio: "ignore" });
    started.push(child);
    return child;
  };

  afterEach(() => {
    for (const child of started.splice(0)) child.kill("SIGKILL");
    endProcesses(undefined, `MARK=${folder}`);
  });

  it("are all ended, however fast they start others", async () => {
    const pids = join(folder, "pids");
    const child = start(`while :; do sleep 1000 & echo $! >> ${pids}; done`);
    await expect.poll(() => existsSync(pids) && readFileSync(pids, "utf8").split("\n").length > 20).toBe(true);
    endProcesses(child.pid, `MARK=${folder}`);
    await once(child, "exit");
    const all = readFileSync(pids, "utf8").trimEnd().split("\n").map(Number);
    await expect.poll(() => all.filter((pid) => isAlive(pid))).toEqual([]);
  });

  it("are left alone once they are gone: their ids may be others'", async () => {
    const killed = vi.spyOn(process, "kill");
    const tested = testing(async (_, ctx) => {
      await ctx.exec("sh", ["-c", "exit 3"]).catch(() => undefined);
      for await (const _ of ctx.execStream("echo", ["some"]));
    });
    expect((await tested.send("x")).outcome).toBe("processed");
    expect(killed.mock.calls.filter(([, signal]) => signal !== 0)).toEqual([]);
  });
});
