import { mkdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Failure, Log, Metric, Result } from "../../gen/worker_pb.js";
import type { Work } from "./work.js";
import { WorkerProcess } from "./worker-process.js";

/** Why a message's attempt ended with its worker's death. */
export interface Death {
  readonly how: string;
  /** Whether we know that this message did it. */
  readonly charged: boolean;
  readonly timedOut: boolean;
}

export interface DispatcherOptions {
  readonly workers: number;
  readonly concurrency: number;
  readonly entry: string;
  readonly jobDir: string;
  readonly configJson: string;
  readonly timeoutMs: number;
  /** Folder for the workers' temporary files; each gets one of its own, emptied when it dies. */
  readonly temporaryRoot: string;
  readonly onReady: () => void;
  readonly onFatal: (failure: Pick<Failure, "code" | "message" | "stack">) => void;
  readonly onResult: (work: Work, result: Result) => void;
  readonly onDeath: (work: Work, death: Death) => void;
  readonly onLog: (worker: number, work: Work | undefined, log: Log) => void;
  readonly onPrinted: (worker: number, stream: "stdout" | "stderr", line: string) => void;
  /** A worker died, and another is started in its place after `delayMs`. */
  readonly onRestart: (how: string, delayMs: number) => void;
  readonly onMetrics: (metrics: readonly Metric[]) => void;
}

/** Consecutive starts that may fail before the job is given up. */
const maxFailedStarts = 10;
const longestRestartMs = 5_000;
/** How long a timed-out attempt may take to notice, in milliseconds, before its worker is ended. */
const timeoutGraceMs = 2_000;

/** Hands messages to workers, and workers' deaths to whoever decides about their messages. */
export class Dispatcher {
  readonly #workers = new Set<WorkerProcess>();
  readonly #queue: Work[] = [];
  readonly #timers = new Map<bigint, NodeJS.Timeout>();
  #nextNumber = 1;
  #failedStarts = 0;
  /** Workers in a row that died before they had answered for any message. */
  #uselessWorkers = 0;
  #everReady = false;
  #stopping = false;
  #scheduled = false;

  constructor(readonly options: DispatcherOptions) {}

  /** Messages that wait for a worker. */
  get queued(): number {
    return this.#queue.length;
  }

  get readyWorkers(): number {
    return [...this.#workers].filter((w) => w.ready).length;
  }

  start(): void {
    for (let i = 0; i < this.options.workers; i += 1) this.#spawn();
  }

  enqueue(work: Work): void {
    if (work.alone) this.#queue.unshift(work);
    else this.#queue.push(work);
    this.#dispatchSoon();
  }

  /** Aborts the signal of a message's attempt, or takes it out of the queue. Whether a worker has it. */
  cancel(work: Work, reason: string): boolean {
    const at = this.#queue.indexOf(work);
    if (at >= 0) this.#queue.splice(at, 1);
    const holders = [...this.#workers].filter((w) => w.inHand.has(work.id));
    for (const worker of holders) worker.cancel(work, reason);
    return holders.length > 0;
  }

  /** Aborts every attempt. */
  cancelAll(reason: string): void {
    for (const worker of this.#workers) for (const work of worker.inHand.values()) worker.cancel(work, reason);
  }

  /** Tells workers that the job stops, and returns what no worker has begun. */
  drain(): Work[] {
    this.#stopping = true;
    for (const worker of this.#workers) worker.drain(false);
    return this.#queue.splice(0);
  }

  /** Lets idle workers tear down and exit; the others, and whoever is left after `waitMs`, are ended. */
  async stop(waitMs: number): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    for (const worker of this.#workers) {
      if (worker.inHand.size > 0 || !worker.ready) worker.kill();
      else worker.drain(true);
      worker.inHand.clear();
    }
    const end = Date.now() + waitMs;
    while (this.#workers.size > 0 && Date.now() < 2 * waitMs + end) {
      if (Date.now() > end) for (const worker of this.#workers) worker.kill();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  #spawn(): void {
    const number = this.#nextNumber;
    this.#nextNumber += 1;
    const folder = join(this.options.temporaryRoot, `worker-${number}`);
    const { entry, jobDir, configJson, concurrency, timeoutMs } = this.options;
    const environment = { ...process.env, TMPDIR: folder };
    try {
      mkdirSync(folder, { recursive: true });
      const options = { number, entry, jobDir, configJson, concurrency, timeoutMs, environment };
      this.#workers.add(new WorkerProcess(options, this.#events));
    } catch (error) {
      // No memory, no descriptor, no space: perhaps later.
      this.#respawn(`it could not be started: ${String(error)}`, true);
    }
  }

  /** Starts a worker in the place of one that died; at longer and longer intervals while they die at once. */
  #respawn(how: string, early: boolean): void {
    if (early) this.#failedStarts += 1;
    // Once a worker was ready the job's code is known to load, and what ends workers comes from outside.
    if (!this.#everReady && this.#failedStarts >= maxFailedStarts) {
      const message = `${maxFailedStarts} workers in a row died before they were ready, the last by ${how}`;
      this.options.onFatal({ code: "WORKER_START", message, stack: "" });
      return;
    }
    const failures = Math.max(this.#failedStarts, this.#uselessWorkers);
    const delay = failures === 0 ? 0 : Math.min(100 * 2 ** failures, longestRestartMs);
    this.options.onRestart(how, delay);
    setTimeout(() => {
      if (!this.#stopping) this.#spawn();
    }, delay);
  }

  readonly #events = {
    ready: () => {
      this.#failedStarts = 0;
      this.#everReady = true;
      this.options.onReady();
      this.#dispatch();
    },
    fatal: (worker: WorkerProcess, failure: Failure) => {
      // A setup that worked before fails for a passing reason: the worker is started again like one that died.
      if (this.#everReady && failure.code === "SETUP") worker.kill();
      else this.options.onFatal(failure);
    },
    result: (_worker: WorkerProcess, work: Work, result: Result) => {
      this.#clearTimer(work);
      this.#uselessWorkers = 0;
      this.options.onResult(work, result);
      this.#dispatchSoon();
    },
    log: (worker: WorkerProcess, work: Work | undefined, log: Log) => {
      this.options.onLog(worker.options.number, work, log);
    },
    metrics: (metrics: readonly Metric[]) => {
      this.options.onMetrics(metrics);
    },
    printed: (worker: WorkerProcess, stream: "stdout" | "stderr", line: string) => {
      this.options.onPrinted(worker.options.number, stream, line);
    },
    died: (worker: WorkerProcess, how: string) => {
      this.#died(worker, how);
    },
  };

  #died(worker: WorkerProcess, how: string): void {
    if (!this.#workers.delete(worker)) return;
    const works = [...worker.inHand.values()];
    for (const work of works) this.#clearTimer(work);
    for (const work of works) this.#blame(work, worker, works.length, how);
    const folder = join(this.options.temporaryRoot, `worker-${worker.options.number}`);
    void rm(folder, { recursive: true, force: true }).catch(() => undefined); // the rest goes with the job's folder
    if (this.#stopping) return;
    if (!worker.useful) this.#uselessWorkers += 1;
    this.#respawn(how, !worker.ready);
  }

  #blame(work: Work, worker: WorkerProcess, together: number, how: string): void {
    const killed = worker.killedFor;
    if (killed !== undefined) {
      const guilty = killed.work === work && (together === 1 || !killed.blocked);
      if (killed.blocked && together > 1) work.alone = true;
      this.options.onDeath(work, { how, charged: guilty, timedOut: killed.work === work });
      return;
    }
    // Which of several did it cannot be known: each runs again with nothing beside it.
    if (together > 1) work.alone = true;
    this.options.onDeath(work, { how, charged: together === 1, timedOut: false });
  }

  /** What arrives together is handed out together. */
  #dispatchSoon(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#dispatch();
    });
  }

  #dispatch(): void {
    const workers = [...this.#workers].filter((w) => w.ready).sort((a, b) => a.inHand.size - b.inHand.size);
    // While one waits to run with nothing beside it, the idlest worker takes nothing else and so becomes empty.
    const reserved = this.#queue.some((w) => w.alone) ? workers[0] : undefined;
    for (const worker of workers) {
      if (this.#queue.length === 0) return;
      const batch = worker === reserved ? this.#takeAlone(worker) : this.#takeFor(worker, workers);
      if (batch.length === 0) continue;
      for (const work of batch) this.#startTimer(worker, work);
      worker.assign(batch);
    }
  }

  #takeAlone(worker: WorkerProcess): Work[] {
    if (worker.inHand.size > 0) return [];
    const at = this.#queue.findIndex((w) => w.alone);
    return at < 0 ? [] : this.#queue.splice(at, 1);
  }

  #takeFor(worker: WorkerProcess, workers: readonly WorkerProcess[]): Work[] {
    const busyAlone = [...worker.inHand.values()].some((w) => w.alone);
    if (worker.room === 0 || busyAlone) return [];
    const batch: Work[] = [];
    // Spread over the workers that have room rather than fill the first.
    const share = Math.ceil(this.#queue.length / Math.max(1, workers.filter((w) => w.room > 0).length));
    const most = Math.min(worker.room, share);
    for (let i = 0; i < this.#queue.length && batch.length < most;) {
      const work = this.#queue[i];
      if (work === undefined || work.alone) i += 1;
      else batch.push(...this.#queue.splice(i, 1));
    }
    return batch;
  }

  #startTimer(worker: WorkerProcess, work: Work): void {
    if (this.options.timeoutMs === 0) return;
    const timer = setTimeout(() => {
      worker.killFor(work);
    }, this.options.timeoutMs + timeoutGraceMs);
    this.#timers.set(work.id, timer);
  }

  #clearTimer(work: Work): void {
    clearTimeout(this.#timers.get(work.id));
    this.#timers.delete(work.id);
  }
}
