import type { Fatal } from "../worker/fatal.js";
import { MemoryWatch } from "./memory-watch.js";
import type { Build, StartWorker, Worker, WorkerEvents } from "./worker.js";

export interface FleetOptions {
  readonly workers: number;
  readonly concurrency: number;
  readonly timeoutMs: number;
  /** Bytes that a worker may take. */
  readonly memory: number;
  readonly start: StartWorker;
  readonly build: Build;
  /** Keeps a worker ready to be given other code, which then serves at once. */
  readonly warm: boolean;
  /** A worker is ready, or one may be started for suspects again. */
  readonly onReady: () => void;
  readonly onFatal: (failure: Fatal) => void;
  /** A worker died, and another is started in its place after `delayMs`. `failure`: of the job's code, which it died of. */
  readonly onRestart: (how: string, delayMs: number, failure?: Fatal) => void;
  /** Other code serves from now on. */
  readonly onReloaded: (build: Build) => void;
  /** Other code cannot serve; what served before goes on. */
  readonly onReloadFailed: (failure: Fatal, build: Build) => void;
  /** No worker runs this code any more, and none will. */
  readonly onRetired: (build: Build) => void;
  readonly events: Omit<WorkerEvents, "ready" | "fatal">;
}

/** Consecutive starts that may fail before the job is given up. */
const maxFailedStarts = 10;
const longestRestartMs = 5_000;
/** How long a worker that was killed may take to be gone. */
const deathMs = 500;
/** How long the worker for suspects waits for another one. */
const quarantineIdleMs = 30_000;

/** The worker processes of a job: started, started again when they die, and replaced when the code changes. */
export class Fleet {
  readonly #workers = new Set<Worker>();
  /** The code that takes messages. */
  #serving: Build;
  /** The code that will, once a worker is ready with it. */
  #coming: Build | undefined;
  #spare: Worker | undefined;
  #quarantine: Worker | undefined;
  #quarantineIdle: NodeJS.Timeout | undefined;
  /** While it runs no worker is started for suspects: the last ones died before they were ready. */
  #quarantineDelay: NodeJS.Timeout | undefined;
  /** Why the job's code failed to set up, by the worker that is ended for it. */
  readonly #failures = new WeakMap<Worker, Fatal>();
  /** Digest of the graph that workers make of each code. */
  readonly #graphs = new WeakMap<Build, string>();
  #nextNumber = 1;
  #failedStarts = 0;
  /** The same of the worker for suspects. */
  #failedQuarantines = 0;
  /** Workers in a row that died before they had answered for any message. */
  #uselessWorkers = 0;
  #everReady = false;
  #stopping = false;

  readonly #memory: MemoryWatch;

  constructor(readonly options: FleetOptions) {
    this.#serving = options.build;
    this.#memory = new MemoryWatch(
      options.memory,
      () => this.all(),
      (worker, bytes) => {
        this.#tooLarge(worker, bytes);
      },
    );
  }

  all(): Worker[] {
    return [...this.#workers];
  }

  /** Workers that take messages now. */
  serving(): Worker[] {
    return this.all().filter((w) => w.ready && !w.quarantine && w.build === this.#serving);
  }

  /** The worker for messages that may have killed one, started if there is none; undefined until it is ready. */
  quarantine(): Worker | undefined {
    clearTimeout(this.#quarantineIdle);
    if (this.#quarantine === undefined && !this.#stopping && this.#quarantineDelay === undefined) {
      this.#quarantine = this.#spawn(true);
      this.#quarantine?.configure(this.#serving);
    }
    const worker = this.#quarantine;
    return worker?.ready === true && worker.inHand.size === 0 ? worker : undefined;
  }

  start(): void {
    this.#memory.start();
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
  answered(worker: Worker): void {
    this.#uselessWorkers = 0;
    if (worker === this.#quarantine) this.noSuspects();
    if (worker.inHand.size === 0 && (this.#stopping || this.#isRetired(worker))) this.#retire(worker);
  }

  /** The worker for suspects, if there is one, ends unless one comes within a while. */
  noSuspects(): void {
    clearTimeout(this.#quarantineIdle);
    const worker = this.#quarantine;
    if (worker === undefined || worker.inHand.size > 0) return;
    this.#quarantineIdle = setTimeout(() => {
      if (worker.ready) this.#retire(worker);
      else this.noSuspects();
    }, quarantineIdleMs);
    this.#quarantineIdle.unref();
  }

  /** Nothing more will come: workers that have nothing in hand tear down and exit, the others when they have answered. */
  drain(): void {
    this.#stopping = true;
    clearTimeout(this.#quarantineDelay);
    this.#spare?.kill();
    for (const worker of this.#workers) worker.drain(worker.ready && worker.inHand.size === 0);
  }

  /** Lets workers that tear down come to their end; the others, and whoever is left after `waitMs`, are ended. */
  async stop(waitMs: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#quarantineIdle);
    clearTimeout(this.#quarantineDelay);
    this.#spare?.kill();
    for (const worker of this.#workers) {
      if (worker.inHand.size > 0 || !worker.ready) worker.kill();
      else worker.drain(true);
      worker.disown();
    }
    const end = Date.now() + waitMs;
    while (this.#workers.size > 0 && Date.now() < end + deathMs) {
      if (Date.now() > end) for (const worker of this.#workers) worker.kill();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    this.#memory.stop();
  }

  #startFor(build: Build): void {
    const spare = this.#spare;
    this.#spare = undefined;
    (spare ?? this.#spawn(false))?.configure(build);
  }

  #spawn(quarantine: boolean): Worker | undefined {
    const number = this.#nextNumber;
    this.#nextNumber += 1;
    const { concurrency, timeoutMs } = this.options;
    try {
      const options = { number, quarantine, timeoutMs, concurrency: quarantine ? 1 : concurrency };
      const worker = this.options.start(options, { ...this.options.events, ...this.#own });
      this.#workers.add(worker);
      return worker;
    } catch (error) {
      // No memory, no descriptor, no space: perhaps later.
      const how = `it could not be started: ${String(error)}`;
      if (quarantine) this.#delayQuarantine(how);
      else this.#respawn(how, true);
      return undefined;
    }
  }

  #tooLarge(worker: Worker, bytes: number): void {
    const { memory } = this.options;
    const message = `its worker took ${toMebibytes(bytes)}, and may take ${toMebibytes(memory)} (workers.memory)`;
    if (!worker.wasReady) {
      const why = `a worker takes ${toMebibytes(bytes)} before it has done anything, and may take ${toMebibytes(memory)}`;
      worker.kill();
      if (!this.#everReady)
        this.options.onFatal({ code: "WORKER_MEMORY", message: `${why}: raise job_config.workers.memory`, stack: "" });
      return;
    }
    const [work] = worker.inHand.values();
    worker.kill({ code: "OUT_OF_MEMORY", message, work, alone: worker.inHand.size === 1, blocked: true });
  }

  /** Starts a worker in the place of one that died; at longer and longer intervals while they die at once. */
  #respawn(how: string, early: boolean, failure?: Fatal): void {
    if (early) this.#failedStarts += 1;
    // Once a worker was ready the job's code is known to load, and what ends workers comes from outside.
    if (!this.#everReady && this.#failedStarts >= maxFailedStarts) {
      const message = `${maxFailedStarts} workers in a row died before they were ready, the last by ${how}`;
      this.options.onFatal({ code: "WORKER_START", message, stack: "" });
      return;
    }
    const delay = restartDelay(Math.max(this.#failedStarts, this.#uselessWorkers));
    this.options.onRestart(how, delay, failure);
    setTimeout(() => {
      const { workers } = this.options;
      // Other code may have brought its own workers meanwhile.
      const there = this.all().filter((w) => !w.quarantine && w.build === this.#serving).length;
      if (!this.#stopping && there < workers) this.#startFor(this.#serving);
    }, delay);
  }

  /** The worker for suspects could not be made ready: they wait a while, and longer each time. */
  #delayQuarantine(how: string, failure?: Fatal): void {
    this.#failedQuarantines += 1;
    const delay = restartDelay(this.#failedQuarantines);
    this.options.onRestart(how, delay, failure);
    this.#quarantineDelay = setTimeout(() => {
      this.#quarantineDelay = undefined;
      this.options.onReady();
    }, delay);
  }

  /** What workers tell; the rest of it passes to whoever uses the fleet. */
  readonly #own: Pick<WorkerEvents, "ready" | "fatal" | "died"> = {
    ready: (worker) => {
      if (!this.#hasGraphOf(worker)) return;
      if (worker.quarantine) this.#failedQuarantines = 0;
      else this.#failedStarts = 0;
      this.#everReady = true;
      if (worker.build === this.#coming) this.#takeOver(worker.build);
      this.options.onReady();
      this.#warmUp();
    },
    fatal: (worker, failure) => {
      if (worker.build !== undefined && worker.build === this.#coming) this.#giveUp(worker.build, failure);
      // A setup that worked before fails for a passing reason: the worker is started again like one that died.
      else if (this.#everReady && failure.code === "SETUP") {
        this.#failures.set(worker, failure);
        worker.kill();
      } else if (worker.build === this.#serving) this.options.onFatal(failure);
    },
    died: (worker, how) => {
      this.#died(worker, how);
    },
  };

  /** Whether the worker has built the graph that the others of its code have. Ids are made of its names: else the job ends. */
  #hasGraphOf({ build, graphDigest, number }: Worker): boolean {
    if (build === undefined) return true;
    const known = this.#graphs.get(build) ?? graphDigest;
    this.#graphs.set(build, known);
    if (known === graphDigest) return true;
    const message = `worker ${number} has built another graph than the workers before it: build must be a pure function of the configuration`;
    this.options.onFatal({ code: "GRAPH_DIFFERS", message, stack: "" });
    return false;
  }

  #takeOver(build: Build | undefined): void {
    if (build === undefined) return;
    this.#serving = build;
    this.#coming = undefined;
    for (const worker of this.#workers) {
      if (!this.#isRetired(worker)) continue;
      if (worker.inHand.size > 0) worker.drain(false);
      else if (worker.ready) this.#retire(worker);
      else worker.kill();
    }
    this.options.onReloaded(build);
  }

  /** It is given nothing more, and ends. */
  #retire(worker: Worker): void {
    if (this.#quarantine === worker) this.#quarantine = undefined;
    worker.drain(true);
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

  #isRetired({ build }: Worker): boolean {
    return build !== undefined && build !== this.#serving && build !== this.#coming;
  }

  #warmUp(): void {
    if (!this.options.warm || this.#spare !== undefined || this.#stopping || this.#coming !== undefined) return;
    if (this.serving().length < this.options.workers) return; // those come first
    this.#spare = this.#spawn(false);
  }

  #died(worker: Worker, how: string): void {
    if (!this.#workers.delete(worker)) return;
    const retired = this.#isRetired(worker);
    const coming = worker.build !== undefined && worker.build === this.#coming;
    this.options.events.died(worker, how);
    if (this.#spare === worker) this.#spare = undefined;
    if (this.#quarantine === worker) this.#quarantine = undefined;
    if (worker.build !== undefined && retired) this.#tellRetired(worker.build);
    if (this.#stopping || retired || worker.build === undefined) return;
    const failure = this.#failures.get(worker);
    if (worker.quarantine) {
      if (!worker.wasReady) this.#delayQuarantine(how, failure);
    } else if (coming) {
      this.#giveUp(worker.build, { code: "WORKER_START", message: `its worker died (${how})`, stack: "" });
    } else {
      if (!worker.useful) this.#uselessWorkers += 1;
      this.#respawn(how, !worker.wasReady, failure);
    }
  }

  #tellRetired(build: Build): void {
    if (![...this.#workers].some((w) => w.build === build)) this.options.onRetired(build);
  }
}

function restartDelay(failures: number): number {
  return failures === 0 ? 0 : Math.min(100 * 2 ** failures, longestRestartMs);
}

function toMebibytes(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MiB`;
}
