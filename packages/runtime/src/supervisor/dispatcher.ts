import type { Log, Metric, Result } from "../../gen/worker_pb.js";
import type { Clock } from "../clock.js";
import { Fleet, type FleetOptions } from "./fleet.js";
import type { Work } from "./work.js";
import type { Build, Worker } from "./worker.js";

/** Why a message's attempt ended with its worker's death. */
export interface Death {
  readonly code: "TIMEOUT" | "OUT_OF_MEMORY" | "WORKER_DIED";
  readonly message: string;
  /** Where the message was; empty: in none, or in several. */
  readonly node: string;
  /** Whether we know that this message did it. */
  readonly charged: boolean;
}

export interface DispatcherOptions {
  readonly fleet: Omit<FleetOptions, "onReady" | "events">;
  readonly clock: Clock;
  readonly onReady: () => void;
  readonly onResult: (work: Work, result: Result) => void;
  readonly onDeath: (work: Work, death: Death) => void;
  readonly onLog: (worker: number, work: Work | undefined, log: Log) => void;
  readonly onPrinted: (worker: number, stream: "stdout" | "stderr", line: string) => void;
  readonly onMetrics: (metrics: readonly Metric[]) => void;
}

/** How long a call or an attempt whose time is up may take to notice, in milliseconds, before its worker is ended. */
export const timeoutGraceMs = 2_000;

/** Hands messages to workers, and workers' deaths to whoever decides about their messages. */
export class Dispatcher {
  readonly #fleet: Fleet;
  readonly #queue: Work[] = [];
  /** Messages that may have killed a worker. */
  readonly #suspects: Work[] = [];
  /** By message: what calls off the end of its worker, for the attempt as a whole and for the node it is in. */
  readonly #timers = new Map<Work, { attempt?: () => void; node?: () => void }>();
  #scheduled = false;
  #held = false;
  /** The message that was begun last; while it holds, the one that {@link tryOne} began. */
  #latest: Work | undefined;

  constructor(readonly options: DispatcherOptions) {
    this.#fleet = new Fleet({
      ...options.fleet,
      onReady: () => {
        options.onReady();
        this.#dispatch();
      },
      events: {
        result: (worker, work, result) => {
          this.#clearTimers(work);
          work.node = undefined;
          options.onResult(work, result);
          this.#fleet.answered(worker);
          this.#dispatchSoon();
        },
        died: (worker, how) => {
          this.#died(worker, how);
        },
        log: (worker, work, log) => {
          options.onLog(worker.number, work, log);
        },
        metrics: options.onMetrics,
        printed: (worker, stream, line) => {
          options.onPrinted(worker.number, stream, line);
        },
        entered: (worker, work, node, timeoutMs) => {
          work.node = node;
          this.#startTimer(worker, work, "node", timeoutMs);
        },
        left: (_worker, work) => {
          this.#timers.get(work)?.node?.();
        },
      },
    });
  }

  start(): void {
    this.#fleet.start();
  }

  /** The workers there are. */
  workers(): readonly Worker[] {
    return this.#fleet.all();
  }

  /** Takes other code into service; what is in hand is finished by the code that began it. */
  reload(build: Build): void {
    this.#fleet.reload(build);
  }

  enqueue(work: Work): void {
    (work.alone ? this.#suspects : this.#queue).push(work);
    this.#dispatchSoon();
  }

  /** Begins nothing more, until it is let go on. */
  hold(): void {
    this.#held = true;
    this.#latest = undefined;
  }

  /** While it holds: one message is begun, unless the one that was is still worked on. Whether there is any. */
  tryOne(): boolean {
    const { id } = this.#latest ?? {};
    if (id !== undefined && this.#fleet.all().some((w) => w.inHand.has(id))) return true;
    const any = this.#queue.length + this.#suspects.length > 0;
    this.#held = false;
    this.#dispatch(1);
    this.#held = true;
    return any;
  }

  goOn(): void {
    this.#held = false;
    this.#dispatch();
  }

  /** Aborts the signal of a message's attempt, or takes it out of the queue. Whether a worker has it. */
  cancel(work: Work, reason: string): boolean {
    for (const queue of [this.#queue, this.#suspects]) {
      const at = queue.indexOf(work);
      if (at < 0) continue;
      queue.splice(at, 1);
      if (this.#suspects.length === 0 && queue === this.#suspects) this.#fleet.noSuspects();
    }
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
    return [...this.#suspects.splice(0), ...this.#queue.splice(0)];
  }

  /** Lets idle workers tear down and exit; the others, and whoever is left after `waitMs`, are ended. */
  async stop(waitMs: number): Promise<void> {
    for (const work of [...this.#timers.keys()]) this.#clearTimers(work);
    await this.#fleet.stop(waitMs);
  }

  #died(worker: Worker, how: string): void {
    const works = [...worker.inHand.values()];
    for (const work of works) this.#clearTimers(work);
    for (const work of works) this.#blame(work, worker, works.length, how);
    if (worker.quarantine) this.#dispatchSoon();
  }

  /** Which of several messages ended a worker cannot be known: each runs again with nothing beside it, uncharged. */
  #blame(work: Work, { killing }: Worker, together: number, how: string): void {
    const { node = "" } = work;
    work.node = undefined;
    if (killing === undefined || !killing.blocked) {
      const guilty = killing === undefined ? together === 1 : killing.work === work;
      // Whoever had only the bad luck to be beside a call that took too long is no suspect.
      work.alone = killing === undefined || guilty;
      const { code, message } = killing ?? { code: "WORKER_DIED" as const, message: `its worker died (${how})` };
      this.options.onDeath(work, { code, message, node, charged: guilty });
      return;
    }
    work.alone = true;
    const { code, message, alone } = killing;
    this.options.onDeath(work, { code, message, node, charged: alone });
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

  #dispatch(most = Infinity): void {
    if (this.#held) return;
    let left = most - this.#dispatchSuspect();
    const workers = this.#fleet.serving().sort((a, b) => a.inHand.size - b.inHand.size);
    for (const worker of workers) {
      if (this.#queue.length === 0 || left <= 0) return;
      // Spread over the workers that have room rather than fill the first.
      const share = Math.ceil(this.#queue.length / Math.max(1, workers.filter((w) => w.room > 0).length));
      const batch = this.#queue.splice(0, this.#fitting(worker, Math.min(worker.room, share, left)));
      if (batch.length > 0) this.#assign(worker, batch);
      left -= batch.length;
    }
  }

  /** How many of the first `most` that wait the worker has bytes of room for. */
  #fitting(worker: Worker, most: number): number {
    let bytes = worker.roomBytes;
    for (let n = 0; n < most; n += 1) {
      bytes -= this.#queue[n]?.delivery.data.length ?? 0;
      if (bytes < 0) return worker.inHand.size === 0 ? Math.max(n, 1) : n;
    }
    return most;
  }

  #dispatchSuspect(): number {
    if (this.#suspects.length === 0) return 0;
    const worker = this.#fleet.quarantine();
    if (worker === undefined) return 0;
    const batch = this.#suspects.splice(0, 1);
    this.#assign(worker, batch);
    return batch.length;
  }

  #assign(worker: Worker, batch: readonly Work[]): void {
    this.#latest = batch.at(-1);
    const { timeoutMs } = this.options.fleet;
    for (const work of batch) {
      work.startedAt = this.options.clock.now();
      this.#startTimer(worker, work, "attempt", timeoutMs);
    }
    worker.assign(batch);
  }

  #startTimer(worker: Worker, work: Work, what: "attempt" | "node", ms: number): void {
    const known = this.#timers.get(work);
    known?.[what]?.();
    if (ms === 0) return;
    const timers = known ?? {};
    this.#timers.set(work, timers);
    timers[what] = this.options.clock.after(ms + timeoutGraceMs, () => {
      const node = work.node === undefined ? "" : ` in node ${work.node}`;
      const message = `it took longer than ${ms} ms${node}, and its worker was ended`;
      worker.kill({ code: "TIMEOUT", message, work, alone: worker.inHand.size === 1, blocked: worker.blocked });
    });
  }

  #clearTimers(work: Work): void {
    const timers = this.#timers.get(work);
    timers?.attempt?.();
    timers?.node?.();
    this.#timers.delete(work);
  }
}
