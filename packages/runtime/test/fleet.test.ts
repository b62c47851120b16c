import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { makeFakeRuntime } from "../../../test/support/fake-runtime.js";
import { Limits } from "../src/limits.js";
import { realClock } from "../src/clock.js";
import { Dispatcher } from "../src/supervisor/dispatcher.js";
import type { FleetOptions } from "../src/supervisor/fleet.js";
import type { Work } from "../src/supervisor/work.js";
import type { Build, Killing, Worker, WorkerEvents, WorkerOptions } from "../src/supervisor/worker.js";
import { WorkerProcess } from "../src/supervisor/worker-process.js";
import type { Fatal } from "../src/worker/fatal.js";

const nothing = () => undefined;
const build: Build = { directory: "", configJson: "" };

/** A worker that does what the test says, in no process. */
class HandWorker implements Worker {
  readonly inHand = new Map<bigint, Work>();
  readonly pid = 0;
  readonly useful = true;
  readonly blocked = false;
  readonly given: string[][] = [];
  readonly drained: boolean[] = [];
  killing: Killing | undefined;
  build: Build | undefined;
  ready = false;
  wasReady = false;
  graphDigest = "";
  roomBytes = Infinity;

  constructor(
    readonly options: WorkerOptions,
    readonly events: WorkerEvents,
  ) {}

  get number(): number {
    return this.options.number;
  }

  get quarantine(): boolean {
    return this.options.quarantine;
  }

  get room(): number {
    return this.ready ? this.options.concurrency - this.inHand.size : 0;
  }

  becomeReady(graphDigest: string): void {
    this.graphDigest = graphDigest;
    this.ready = this.wasReady = true;
    this.events.ready(this);
  }

  configure(given: Build): void {
    this.build = given;
  }

  assign(works: readonly Work[]): void {
    this.given.push(works.map((work) => work.element));
    for (const work of works) this.inHand.set(work.id, work);
  }

  kill(): void {
    this.ready = false;
    queueMicrotask(() => {
      this.events.died(this, "signal SIGKILL");
    });
  }

  drain(final: boolean): void {
    this.drained.push(final);
  }

  cancel = nothing;
  disown = nothing;
}

/** A dispatcher whose workers are in the test's hands. */
function dispatch(options: Partial<FleetOptions> = {}) {
  const workers: HandWorker[] = [];
  const fatal: Fatal[] = [];
  const restarts: { how: string; delayMs: number; failure: Fatal | undefined }[] = [];
  const dispatcher = new Dispatcher({
    clock: realClock,
    fleet: {
      workers: 2,
      concurrency: 4,
      timeoutMs: 0,
      memory: Infinity,
      warm: false,
      build,
      start: (of, events) => {
        const worker = new HandWorker(of, events);
        workers.push(worker);
        return worker;
      },
      onFatal: (failure) => fatal.push(failure),
      onRestart: (how, delayMs, failure) => restarts.push({ how, delayMs, failure }),
      onReloaded: nothing,
      onReloadFailed: nothing,
      onRetired: nothing,
      ...options,
    },
    onReady: nothing,
    onResult: nothing,
    onDeath: nothing,
    onLog: nothing,
    onPrinted: nothing,
    onMetrics: nothing,
  });
  dispatcher.start();
  onTestFinished(() => dispatcher.stop(0));
  return { dispatcher, workers, fatal, restarts };
}

function workOf(id: number, bytes: number, alone = false): Work {
  return { id: BigInt(id), element: `m-${id}`, alone, delivery: { data: Buffer.alloc(bytes) } } as unknown as Work;
}

describe("workers of one code", () => {
  it("that have built different graphs end the job: the ids of its outputs are made of the names of nodes", () => {
    const { workers, fatal } = dispatch();
    workers[0]?.becomeReady("one");
    expect(fatal).toEqual([]);
    workers[1]?.becomeReady("another");
    expect(fatal).toMatchObject([{ code: "GRAPH_DIFFERS" }]);
    expect(fatal[0]?.message).toContain("worker 2");
  });

  it("are given no more bytes than they take, and one message whatever its size", async () => {
    const { dispatcher, workers } = dispatch({ workers: 1 });
    const [worker] = workers;
    if (worker === undefined) throw new Error("no worker");
    worker.roomBytes = 100;
    worker.becomeReady("one");
    for (const [n, bytes] of [40, 40, 40].entries()) dispatcher.enqueue(workOf(n, bytes));
    await expect.poll(() => worker.given).toEqual([["m-0", "m-1"]]);
    worker.roomBytes = 20;
    dispatcher.enqueue(workOf(3, 1));
    await new Promise((resolve) => setImmediate(resolve));
    expect(worker.given).toHaveLength(1);
    worker.inHand.clear();
    dispatcher.enqueue(workOf(4, 1));
    await expect.poll(() => worker.given.slice(1)).toEqual([["m-2"]]);
  });
});

describe("workers whose code was replaced", () => {
  it("are told so while they have something in hand, and end when they have not", async () => {
    const { dispatcher, workers } = dispatch({ workers: 2 });
    const [busy, idle] = workers;
    busy?.becomeReady("one");
    dispatcher.enqueue(workOf(1, 1));
    await expect.poll(() => busy?.given).toEqual([["m-1"]]);
    idle?.becomeReady("one");
    dispatcher.reload({ directory: "new", configJson: "" });
    expect([busy?.drained, idle?.drained]).toEqual([[], []]);
    workers[2]?.becomeReady("another");
    expect([busy?.drained, idle?.drained]).toEqual([[false], [true]]);
  });
});

describe("the worker for suspects", () => {
  it("whose setup fails is told of with its reason, and started again after longer and longer", async () => {
    const { dispatcher, workers, restarts } = dispatch({ workers: 1 });
    workers[0]?.becomeReady("one");
    dispatcher.enqueue(workOf(1, 1, true));
    const failure = { code: "SETUP", message: "no model", stack: "at setup" };
    for (const n of [1, 2]) {
      await expect.poll(() => workers.length).toBe(1 + n);
      const worker = workers.at(-1);
      expect(worker?.quarantine).toBe(true);
      worker?.events.fatal(worker, failure);
      await expect.poll(() => restarts.length).toBe(n);
      expect(workers).toHaveLength(1 + n);
    }
    expect(restarts.map((r) => r.failure)).toEqual([failure, failure]);
    expect(restarts[1]?.delayMs).toBeGreaterThan(restarts[0]?.delayMs ?? Infinity);
    await expect.poll(() => workers.length).toBe(4);
    workers[3]?.becomeReady("one");
    await expect.poll(() => workers[3]?.given).toEqual([["m-1"]]);
  });

  it("ends after a while when the one it was started for is lost before it was ready", async () => {
    vi.useFakeTimers();
    const { dispatcher, workers } = dispatch({ workers: 1 });
    onTestFinished(() => {
      vi.useRealTimers(); // before the dispatcher stops
    });
    workers[0]?.becomeReady("one");
    const suspect = workOf(1, 1, true);
    dispatcher.enqueue(suspect);
    await vi.advanceTimersByTimeAsync(0);
    expect(workers.map((w) => w.quarantine)).toEqual([false, true]);
    dispatcher.cancel(suspect, "its lease was lost");
    await vi.advanceTimersByTimeAsync(45_000);
    workers[1]?.becomeReady("one");
    expect(workers[1]?.drained).toEqual([]);
    await vi.advanceTimersByTimeAsync(45_000);
    expect(workers.map((w) => w.drained)).toEqual([[], [true]]);
  });
});

describe("a job that holds", () => {
  it("tries one message at a time, whatever else is still worked on", async () => {
    const { dispatcher, workers } = dispatch({ workers: 1 });
    const [worker] = workers;
    worker?.becomeReady("one");
    dispatcher.enqueue(workOf(1, 1));
    await expect.poll(() => worker?.given).toEqual([["m-1"]]);
    dispatcher.hold();
    expect(dispatcher.tryOne()).toBe(false); // there is nothing to try but what is worked on already
    for (const id of [2, 3]) dispatcher.enqueue(workOf(id, 1));
    expect([dispatcher.tryOne(), dispatcher.tryOne()]).toEqual([true, true]);
    expect(worker?.given).toEqual([["m-1"], ["m-2"]]);
    worker?.inHand.delete(2n);
    expect(dispatcher.tryOne()).toBe(true);
    expect(worker?.given).toEqual([["m-1"], ["m-2"], ["m-3"]]);
  });
});

describe("a worker that cannot be started for want of file descriptors", () => {
  it("throws, and ends nothing else", async () => {
    const folder = mkdtempSync(join(tmpdir(), "klio-worker-"));
    const highest = Math.max(...readdirSync("/proc/self/fd").map(Number));
    const limit = (n: string) => execFileSync("prlimit", ["--pid", String(process.pid), `--nofile=${n}:`]);
    const before = execFileSync("prlimit", ["--pid", String(process.pid), "--nofile", "-o", "SOFT", "--noheadings"]);
    const opened: number[] = [];
    const release = () => {
      for (const fd of opened.splice(0)) closeSync(fd);
      limit(String(before).trim());
    };
    onTestFinished(() => {
      release();
      rmSync(folder, { recursive: true });
    });
    limit(String(highest + 40));
    while (opened.length < 1_000) {
      try {
        opened.push(openSync("/dev/null", "r"));
      } catch {
        break;
      }
    }
    const options = { number: 1, quarantine: false, concurrency: 1, timeoutMs: 0, limits: new Limits({}) };
    const start = () =>
      new WorkerProcess({ ...options, entry: join(folder, "none.js"), folder: join(folder, "t") }, {} as WorkerEvents);
    expect(start).toThrow("ulimit -n");
    await new Promise((resolve) => setImmediate(resolve)); // the child tells of it too, which would end this process
    release();
  });
});

describe("a worker process that is killed", () => {
  it("takes nothing from that moment on, while its end is waited for", async () => {
    const folder = mkdtempSync(join(tmpdir(), "klio-worker-"));
    onTestFinished(() => {
      rmSync(folder, { recursive: true });
    });
    const entry = join(await makeFakeRuntime(folder), "worker.js");
    let over = false;
    const events = { ready: nothing, fatal: nothing, died: () => (over = true), printed: nothing };
    const worker = new WorkerProcess(
      {
        number: 1,
        quarantine: false,
        concurrency: 3,
        timeoutMs: 0,
        entry,
        limits: new Limits({}),
        folder: join(folder, "t"),
      },
      events as unknown as WorkerEvents,
    );
    worker.configure({ directory: folder, configJson: "{}" });
    await expect.poll(() => worker.ready).toBe(true);
    expect(worker.room).toBe(3);
    worker.kill();
    expect({ ready: worker.ready, room: worker.room, wasReady: worker.wasReady, over }).toEqual({
      ready: false,
      room: 0,
      wasReady: true,
      over: false,
    });
    await expect.poll(() => over).toBe(true);
  });
});
