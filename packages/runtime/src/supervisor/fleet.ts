import { mkdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Failure } from "../../gen/worker_pb.js";
import { type Build, type WorkerEvents, WorkerProcess } from "./worker-process.js";

export type Fatal = Pick<Failure, "code" | "message" | "stack">;

export interface FleetOptions {
  readonly workers: number;
  readonly concurrency: number;
  readonly timeoutMs: number;
  /** Module of workers. */
  readonly entry: string;
  readonly build: Build;
  /** Keeps a worker ready to be given other code, which then serves at once. */
  readonly warm: boolean;
  /** Folder for the workers' temporary files; each gets one of its own, emptied when it dies. */
  readonly temporaryRoot: string;
  readonly onReady: () => void;
  readonly onFatal: (failure: Fatal) => void;
  /** A worker died, and another is started in its place after `delayMs`. */
  readonly onRestart: (how: string, delayMs: number) => void;
  /** Other code serves from now on. */
  readonly onReloaded: (build: Build) => void;
  /** Other code cannot serve; what served before goes on. */
  readonly onReloadFailed: (failure: Fatal, build: Build) => void;
  /** No worker runs this code any more, and none will. */
  readonly onRetired: (build: Build) => void;
  readonly events: Pick<WorkerEvents, "result" | "log" | "metrics" | "printed" | "died">;
}

/** Consecutive starts that may fail before the job is given up. */
const maxFailedStarts = 10;
const longestRestartMs = 5_000;

/** The worker processes of a job: started, started again when they die, and replaced when the code changes. */
export class Fleet {
  readonly #workers = new Set<WorkerProcess>();
  /** The code that takes messages. */
  #serving: Build;
  /** The code that will, once a worker is ready with it. */
  #coming: Build | undefined;
  #spare: WorkerProcess | undefined;
  #nextNumber = 1;
  #failedStarts = 0;
  /** Workers in a row that died before they had answered for any message. */
  #uselessWorkers = 0;
  #everReady = false;
  #stopping = false;

  constructor(readonly options: FleetOptions) {
    this.#serving = options.build;
  }

  all(): WorkerProcess[] {
    return [...this.#workers];
  }

  /** Workers that take messages now. */
  serving(): WorkerProcess[] {
    return this.all().filter((w) => w.ready && w.build === this.#serving);
  }

  start(): void {
    for (let i = 0; i < this.options.workers; i += 1) this.#startFor(this.#serving);
  }

  /** Starts workers with other code. It takes over when the first of them is ready. */
  reload(build: Build): void {
    if (this.#stopping) return;
    const given = this.#coming;
    this.#coming = build;
    if (given !== undefined) {
      this.#end(given);
      this.options.onReloadFailed(
        { code: "RELOAD_SUPERSEDED", message: "newer code came before it ran", stack: "" },
        given,
      );
    }
    for (let i = 0; i < this.options.workers; i += 1) this.#startFor(build);
  }

  /** A worker has answered for a message: it may be the last it had. */
  answered(worker: WorkerProcess): void {
    this.#uselessWorkers = 0;
    if (worker.inHand.size === 0 && this.#isRetired(worker)) worker.drain(true);
  }

  drain(): void {
    this.#stopping = true;
    this.#spare?.kill();
    for (const worker of this.#workers) worker.drain(false);
  }

  /** Lets idle workers tear down and exit; the others, and whoever is left after `waitMs`, are ended. */
  async stop(waitMs: number): Promise<void> {
    this.#stopping = true;
    this.#spare?.kill();
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

  #startFor(build: Build): void {
    const spare = this.#spare;
    this.#spare = undefined;
    (spare ?? this.#spawn())?.configure(build);
  }

  #spawn(): WorkerProcess | undefined {
    const number = this.#nextNumber;
    this.#nextNumber += 1;
    const folder = join(this.options.temporaryRoot, `worker-${number}`);
    const { entry, concurrency, timeoutMs } = this.options;
    const environment = { ...process.env, TMPDIR: folder };
    try {
      mkdirSync(folder, { recursive: true });
      const worker = new WorkerProcess({ number, entry, concurrency, timeoutMs, environment }, this.#events);
      this.#workers.add(worker);
      return worker;
    } catch (error) {
      // No memory, no descriptor, no space: perhaps later.
      this.#respawn(`it could not be started: ${String(error)}`, true);
      return undefined;
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
      const { workers } = this.options;
      // Other code may have brought its own workers meanwhile.
      const there = this.all().filter((w) => w.build === this.#serving).length;
      if (!this.#stopping && there < workers) this.#startFor(this.#serving);
    }, delay);
  }

  readonly #events: WorkerEvents = {
    ready: (worker) => {
      this.#failedStarts = 0;
      this.#everReady = true;
      if (worker.build === this.#coming) this.#takeOver(worker.build);
      this.options.onReady();
      this.#warmUp();
    },
    fatal: (worker, failure) => {
      if (worker.build !== undefined && worker.build === this.#coming) this.#giveUp(worker.build, failure);
      // A setup that worked before fails for a passing reason: the worker is started again like one that died.
      else if (this.#everReady && failure.code === "SETUP") worker.kill();
      else if (worker.build === this.#serving) this.options.onFatal(failure);
    },
    died: (worker, how) => {
      this.#died(worker, how);
    },
    result: (...args) => {
      this.options.events.result(...args);
    },
    log: (...args) => {
      this.options.events.log(...args);
    },
    metrics: (...args) => {
      this.options.events.metrics(...args);
    },
    printed: (...args) => {
      this.options.events.printed(...args);
    },
  };

  #takeOver(build: Build | undefined): void {
    if (build === undefined) return;
    this.#serving = build;
    this.#coming = undefined;
    for (const worker of this.#workers) {
      if (!this.#isRetired(worker) || worker.inHand.size > 0) continue;
      if (worker.ready) worker.drain(true);
      else worker.kill();
    }
    this.options.onReloaded(build);
  }

  #giveUp(build: Build, failure: Fatal): void {
    this.#coming = undefined;
    this.#end(build);
    this.options.onReloadFailed(failure, build);
    this.#tellRetired(build);
    this.#warmUp();
  }

  #end(build: Build): void {
    for (const worker of this.#workers) if (worker.build === build) worker.kill();
  }

  #isRetired({ build }: WorkerProcess): boolean {
    return build !== undefined && build !== this.#serving && build !== this.#coming;
  }

  #warmUp(): void {
    if (!this.options.warm || this.#spare !== undefined || this.#stopping || this.#coming !== undefined) return;
    if (this.serving().length < this.options.workers) return; // those come first
    this.#spare = this.#spawn();
  }

  #died(worker: WorkerProcess, how: string): void {
    if (!this.#workers.delete(worker)) return;
    const retired = this.#isRetired(worker);
    const coming = worker.build !== undefined && worker.build === this.#coming;
    this.options.events.died(worker, how);
    const folder = join(this.options.temporaryRoot, `worker-${worker.options.number}`);
    void rm(folder, { recursive: true, force: true }).catch(() => undefined); // the rest goes with the job's folder
    if (this.#spare === worker) this.#spare = undefined;
    if (worker.build !== undefined && retired) this.#tellRetired(worker.build);
    if (this.#stopping || retired || worker.build === undefined) return;
    if (coming) {
      this.#giveUp(worker.build, { code: "WORKER_START", message: `its worker died (${how})`, stack: "" });
      return;
    }
    if (!worker.useful) this.#uselessWorkers += 1;
    this.#respawn(how, !worker.ready);
  }

  #tellRetired(build: Build): void {
    if (![...this.#workers].some((w) => w.build === build)) this.options.onRetired(build);
  }
}
