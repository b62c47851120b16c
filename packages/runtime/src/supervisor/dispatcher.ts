import { mkdirSync, rmSync } from "node:fs";
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

  /** Aborts the signal of a message's attempt. */
  cancel(work: Work, reason: string): void {
    const at = this.#queue.indexOf(work);
    if (at >= 0) this.#queue.splice(at, 1);
    for (const worker of this.#workers) if (worker.inHand.has(work.id)) worker.cancel(work, reason);
  }

  /** Tells workers that the job stops, and returns what no worker has begun. */
  drain(): Work[] {
    this.#stopping = true;
    for (const worker of this.#workers) worker.drain(false);
    return this.#queue.splice(0);
  }

  /** Lets idle workers tear down and exit; whoever is left after `waitMs` is ended. Returns what they had in hand. */
  async stop(waitMs: number): Promise<Work[]> {
    this.#stopping = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    const left = [...this.#workers].flatMap((w) => [...w.inHand.values()]);
    for (const worker of this.#workers) {
      if (worker.inHand.size > 0 || !worker.ready) worker.kill();
      else worker.drain(true);
      worker.inHand.clear();
    }
    const end = Date.now() + waitMs;
    while (this.#workers.size > 0) {
      if (Date.now() > end) for (const worker of this.#workers) worker.kill();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return left;
  }

  #spawn(): void {
    const number = this.#nextNumber;
    this.#nextNumber += 1;
    const folder = join(this.options.temporaryRoot, `worker-${number}`);
    mkdirSync(folder, { recursive: true });
    const { entry, jobDir, configJson, concurrency, timeoutMs } = this.options;
    const environment = { ...process.env, TMPDIR: folder };
    const worker = new WorkerProcess(
      { number, entry, jobDir, configJson, concurrency, timeoutMs, environment },
      this.#events,
    );
    this.#workers.add(worker);
  }

  readonly #events = {
    ready: () => {
      this.#failedStarts = 0;
      this.options.onReady();
      this.#dispatch();
    },
    fatal: (failure: Failure) => {
      this.options.onFatal(failure);
    },
    result: (_worker: WorkerProcess, work: Work, result: Result) => {
      this.#clearTimer(work);
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
    rmSync(join(this.options.temporaryRoot, `worker-${worker.options.number}`), { recursive: true, force: true });
    const works = [...worker.inHand.values()];
    for (const work of works) this.#clearTimer(work);
    for (const work of works) this.#blame(work, worker, works.length, how);
    if (this.#stopping) return;
    if (!worker.ready) this.#failedStarts += 1;
    if (this.#failedStarts >= maxFailedStarts) {
      const message = `${maxFailedStarts} workers in a row died before they were ready, the last by ${how}`;
      this.options.onFatal({ code: "WORKER_START", message, stack: "" });
      return;
    }
    setTimeout(
      () => {
        this.#spawn();
      },
      this.#failedStarts === 0 ? 0 : Math.min(100 * 2 ** this.#failedStarts, longestRestartMs),
    );
  }

  #blame(work: Work, worker: WorkerProcess, together: number, how: string): void {
    if (worker.killedFor !== undefined) {
      const guilty = worker.killedFor === work && (together === 1 || !worker.blocked);
      if (worker.blocked && together > 1) work.alone = true;
      this.options.onDeath(work, { how, charged: guilty, timedOut: worker.killedFor === work });
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
    for (const worker of [...this.#workers].sort((a, b) => a.inHand.size - b.inHand.size)) {
      if (this.#queue.length === 0) return;
      const batch = this.#takeFor(worker);
      if (batch.length === 0) continue;
      for (const work of batch) this.#startTimer(worker, work);
      worker.assign(batch);
    }
  }

  #takeFor(worker: WorkerProcess): Work[] {
    const busyAlone = [...worker.inHand.values()].some((w) => w.alone);
    if (worker.room === 0 || busyAlone) return [];
    if (worker.inHand.size === 0) {
      const at = this.#queue.findIndex((w) => w.alone);
      if (at >= 0) return this.#queue.splice(at, 1);
    }
    const batch: Work[] = [];
    // Spread over the workers that are there rather than fill the first.
    const share = Math.max(1, Math.ceil(this.#queue.length / Math.max(1, this.readyWorkers)));
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
      worker.killedFor = work;
      worker.kill();
    }, this.options.timeoutMs + timeoutGraceMs);
    this.#timers.set(work.id, timer);
  }

  #clearTimer(work: Work): void {
    clearTimeout(this.#timers.get(work.id));
    this.#timers.delete(work.id);
  }
}
