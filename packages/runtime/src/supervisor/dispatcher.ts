import type { Log, Metric, Result } from "../../gen/worker_pb.js";
import { Fleet, type FleetOptions } from "./fleet.js";
import type { Work } from "./work.js";
import type { Build, WorkerProcess } from "./worker-process.js";

/** Why a message's attempt ended with its worker's death. */
export interface Death {
  readonly how: string;
  /** Whether we know that this message did it. */
  readonly charged: boolean;
  readonly timedOut: boolean;
}

export interface DispatcherOptions {
  readonly fleet: Omit<FleetOptions, "onReady" | "events">;
  readonly timeoutMs: number;
  readonly onReady: () => void;
  readonly onResult: (work: Work, result: Result) => void;
  readonly onDeath: (work: Work, death: Death) => void;
  readonly onLog: (worker: number, work: Work | undefined, log: Log) => void;
  readonly onPrinted: (worker: number, stream: "stdout" | "stderr", line: string) => void;
  readonly onMetrics: (metrics: readonly Metric[]) => void;
}

/** How long a timed-out attempt may take to notice, in milliseconds, before its worker is ended. */
const timeoutGraceMs = 2_000;

/** Hands messages to workers, and workers' deaths to whoever decides about their messages. */
export class Dispatcher {
  readonly #fleet: Fleet;
  readonly #queue: Work[] = [];
  readonly #timers = new Map<bigint, NodeJS.Timeout>();
  #scheduled = false;

  constructor(readonly options: DispatcherOptions) {
    this.#fleet = new Fleet({
      ...options.fleet,
      onReady: () => {
        options.onReady();
        this.#dispatch();
      },
      events: {
        result: (worker, work, result) => {
          this.#clearTimer(work);
          options.onResult(work, result);
          this.#fleet.answered(worker);
          this.#dispatchSoon();
        },
        died: (worker, how) => {
          this.#died(worker, how);
        },
        log: (worker, work, log) => {
          options.onLog(worker.options.number, work, log);
        },
        metrics: options.onMetrics,
        printed: (worker, stream, line) => {
          options.onPrinted(worker.options.number, stream, line);
        },
      },
    });
  }

  start(): void {
    this.#fleet.start();
  }

  /** Takes other code into service; what is in hand is finished by the code that began it. */
  reload(build: Build): void {
    this.#fleet.reload(build);
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
    const holders = this.#fleet.all().filter((w) => w.inHand.has(work.id));
    for (const worker of holders) worker.cancel(work, reason);
    return holders.length > 0;
  }

  /** Aborts every attempt. */
  cancelAll(reason: string): void {
    for (const worker of this.#fleet.all()) for (const work of worker.inHand.values()) worker.cancel(work, reason);
  }

  /** Tells workers that the job stops, and returns what no worker has begun. */
  drain(): Work[] {
    this.#fleet.drain();
    return this.#queue.splice(0);
  }

  /** Lets idle workers tear down and exit; the others, and whoever is left after `waitMs`, are ended. */
  async stop(waitMs: number): Promise<void> {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await this.#fleet.stop(waitMs);
  }

  #died(worker: WorkerProcess, how: string): void {
    const works = [...worker.inHand.values()];
    for (const work of works) this.#clearTimer(work);
    for (const work of works) this.#blame(work, worker, works.length, how);
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
    const workers = this.#fleet.serving().sort((a, b) => a.inHand.size - b.inHand.size);
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
