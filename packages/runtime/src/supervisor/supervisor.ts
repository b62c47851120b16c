import type { EffectiveConfig } from "@klio/config/effective";
import type { Clock } from "../clock.js";
import type { JobIdentity } from "../message/index.js";
import { runtimeVersion } from "../version.js";
import type { Fatal } from "../worker/fatal.js";
import { Completed } from "./completed.js";
import { Dispatcher, type DispatcherOptions } from "./dispatcher.js";
import type { Edges, Outputs, Sources } from "./edges.js";
import type { Emit } from "./events.js";
import { type InFlight, listInFlight, type Load, measureLoad } from "./in-flight.js";
import { InHand } from "./in-hand.js";
import { type Intake, takeIn } from "./intake.js";
import { Lanes } from "./lanes.js";
import type { Observer } from "./observer.js";
import { passing } from "./outputs.js";
import { Pause } from "./pause.js";
import { Reporter } from "./reporter.js";
import { Settlement } from "./settlement.js";
import type { Delivery } from "./source.js";
import { Readiness, type Status } from "./status.js";
import { judgeDeath } from "./verdicts.js";
import { until } from "./waits.js";
import type { Build, Worker } from "./worker.js";

export interface SupervisorOptions {
  readonly config: EffectiveConfig;
  readonly edges: Edges;
  readonly emit: Emit;
  readonly observer: Observer;
  readonly clock: Clock;
  readonly fleet: Pick<DispatcherOptions["fleet"], "start" | "build" | "workers" | "memory" | "warm" | "onRetired">;
  /** The job cannot run. */
  readonly onFatal: (failure: Fatal) => void;
  /** A batch job is done with all its elements. */
  readonly onEnd: () => void;
}

/** Ids remembered as done. */
const completedLimit = 100_000;
/** How long workers may go on tearing down when nothing is in hand any more. */
const teardownMs = 2_000;
/** How long before workers are ended `ctx.signal` aborts. */
const lastWordMs = 500;
/** How long giving back may take at the end; what it does not reach expires by itself. */
const giveBackMs = 2_000;
/** The part of the grace period that is kept for ending workers and giving back: whoever stops the job kills it when that is over. */
const handBackShare = 1 / 6;
const longestHandBackMs = 3_000;
/** What each of both may take although the time is up. */
const leastMs = 100;

/** Receives messages, has workers process them, publishes what they put out, and only then acknowledges. */
export class Supervisor {
  readonly #config: EffectiveConfig;
  readonly #job: JobIdentity;
  readonly #clock: Clock;
  readonly #reporter: Reporter;
  readonly #sources: Sources;
  readonly #dispatcher: Dispatcher;
  readonly #outputs: Outputs;
  readonly #inHand = new InHand();
  readonly #completed = new Completed(completedLimit);
  readonly #lanes = new Lanes();
  readonly #settlement: Settlement;
  readonly #pause: Pause;
  readonly #readiness = new Readiness();
  readonly #stopped = new AbortController();
  #lastId = 0n;
  #hurried = false;
  /** The job pauses, and receives until there is a message to try. */
  #wantsTrial = false;

  constructor(readonly options: SupervisorOptions) {
    const { config, edges, clock, observer } = options;
    this.#config = config;
    this.#clock = clock;
    this.#job = { jobName: config.job_name, gcpProject: config.pipeline_options.project };
    this.#reporter = new Reporter(options.emit, config.job_name, clock);
    this.#outputs = edges.outputs((message) => {
      this.#reporter.trouble("PUBLISH", message);
    });
    this.#sources = this.#makeSources();
    this.#dispatcher = this.#makeDispatcher();
    this.#pause = this.#makePause();
    this.#settlement = new Settlement({
      config,
      job: this.#job,
      reporter: this.#reporter,
      dispatcher: this.#dispatcher,
      ...this.#outputs,
      inHand: this.#inHand,
      completed: this.#completed,
      lanes: this.#lanes,
      clock,
      pause: this.#pause,
      observer,
    });
  }

  get #draining(): boolean {
    return this.#readiness.phase === "draining";
  }

  start(): void {
    if (this.#draining) return; // it was told to stop before
    const { emit, fleet } = this.options;
    emit({ event: "starting", job: this.#job.jobName, version: runtimeVersion, workers: fleet.workers });
    this.#dispatcher.start();
  }

  /** Takes other code of the same job into service. */
  reload(build: Build): void {
    this.#dispatcher.reload(build);
  }

  /** How many messages had which outcome, and how many elements failed without a place for their dead letter. */
  counts() {
    return { outcomes: this.#settlement.outcomes, failed: this.#sources.failed() };
  }

  status(): Status {
    return this.#readiness.status();
  }

  inFlight(): InFlight[] {
    return listInFlight(this.#inHand, this.#dispatcher.workers(), this.#clock.now());
  }

  workers(): readonly Worker[] {
    return this.#dispatcher.workers();
  }

  load(): Load {
    return measureLoad(this.#inHand);
  }

  /** Stops receiving, finishes what is in hand within the grace period, gives back the rest. */
  async drain(reason: string): Promise<void> {
    if (this.#draining) return;
    this.#readiness.phase = "draining";
    this.#pause.close();
    const { grace_period_ms: grace } = this.#config.job_config.delivery;
    const end = this.#clock.now() + grace;
    const lastAnswer = end - Math.min(grace * handBackShare, longestHandBackMs);
    this.options.emit({ event: "draining", job: this.#job.jobName, in_hand: this.#inHand.size, reason });
    const quiet = Promise.all(this.#sources.all.map((source) => source.stopPulling()));
    this.#settlement.drain(quiet);
    const unbegun = [...this.#dispatcher.drain(), ...this.#lanes.clear(), ...this.#settlement.takeRetries()];
    for (const work of unbegun) void this.#settlement.giveBack(work, "the job is stopping");
    await this.#untilEmpty(lastAnswer - lastWordMs);
    this.#dispatcher.cancelAll("the grace period is over");
    await this.#untilEmpty(lastAnswer);
    await this.#stop(quiet, end);
  }

  /** Ends the grace period: what is in hand is given back at once. */
  hurry(): void {
    this.#hurried = true;
    this.#stopped.abort();
  }

  /** Until nothing is in hand, but no longer than `time`, and not once the job stops at once. */
  #untilEmpty(time: number): Promise<void> {
    return until(this.#clock, time, this.#inHand.empty(), this.#stopped.signal);
  }

  async #stop(quiet: Promise<unknown>, end: number): Promise<void> {
    const halfOfTheRest = () => Math.max(leastMs, (end - this.#clock.now()) / 2);
    this.#stopped.abort();
    this.#outputs.close();
    await this.#dispatcher.stop(Math.min(teardownMs, halfOfTheRest()));
    const why = this.#hurried ? "the job was stopped at once" : "the grace period is over";
    const left = this.#inHand.all().map((work) => this.#settlement.giveBack(work, why));
    const late = quiet.then(() => this.#settlement.givenBackAll());
    await until(this.#clock, this.#clock.now() + Math.min(giveBackMs, halfOfTheRest()), Promise.all([...left, late]));
    for (const source of this.#sources.all) await source.close();
    this.options.emit({
      event: "stopped",
      job: this.#job.jobName,
      done: this.#settlement.done,
      given_back: this.#settlement.givenBack,
      batch: !this.#config.pipeline_options.streaming,
    });
  }

  // ---- parts

  #makeSources(): Sources {
    const { edges, fleet, onFatal, onEnd } = this.options;
    const { delivery, workers } = this.#config.job_config;
    const { disconnected } = this.#readiness;
    for (const input of this.#subscribed()) disconnected.add(input);
    const capacity = fleet.workers * workers.concurrency;
    const bounds = { capacity, messages: delivery.max_outstanding_messages, bytes: delivery.max_outstanding_bytes };
    return edges.sources(bounds, {
      onDelivery: (message) => {
        this.#receive(message);
      },
      onConnected: (input) => {
        disconnected.delete(input);
        if (disconnected.size === 0) this.#tellReady();
      },
      onDisconnected: (input) => {
        disconnected.add(input);
      },
      onTrouble: (message) => {
        this.#reporter.trouble("PUBSUB", message);
      },
      onRefused: (code, message) => {
        onFatal({ code, message, stack: "" });
      },
      onLost: (lease) => {
        this.#settlement.lost(lease);
      },
      onEnd: () => {
        if (!this.#config.pipeline_options.streaming) onEnd();
      },
    });
  }

  #subscribed(): string[] {
    return this.#config.job_config.events.inputs.filter((i) => i.type === "pubsub").map((i) => i.name);
  }

  #tellReady(): void {
    if (this.#readiness.phase !== "connecting") return;
    this.#readiness.phase = "ready";
    const inputs = this.#config.job_config.events.inputs.map((i) =>
      i.type === "pubsub" ? i.subscription : i.location,
    );
    const { workers } = this.options.fleet;
    this.options.emit({ event: "ready", job: this.#job.jobName, inputs, workers });
  }

  #makeDispatcher(): Dispatcher {
    const { emit, onFatal, observer, fleet, clock } = this.options;
    return new Dispatcher({
      clock,
      fleet: {
        ...fleet,
        concurrency: this.#config.job_config.workers.concurrency,
        timeoutMs: this.#config.job_config.delivery.timeout_ms,
        onFatal,
        onRestart: (how, delayMs, failure) => {
          observer.restarted();
          const why = failure === undefined ? how : `${failure.code}: ${failure.message}`;
          this.#reporter.trouble("WORKER_RESTART", `a worker died (${why}); another is started in ${delayMs} ms`);
          if (failure !== undefined) this.#reporter.broken(failure.stack);
        },
        onReloaded: ({ directory }) => {
          emit({ event: "reloaded", job: this.#job.jobName, directory });
        },
        onReloadFailed: (failure, { directory }) => {
          emit({ event: "reload-failed", severity: "ERROR", job: this.#job.jobName, directory, ...failure });
        },
      },
      onReady: () => void this.#connect(),
      onResult: (work, result) => void this.#settlement.settle(work, result),
      onDeath: (work, death) => {
        observer.attempted(undefined);
        void this.#settlement.carryOut(judgeDeath(death), work);
      },
      onLog: (worker, work, log) => {
        this.#reporter.log(worker, work, log);
      },
      onPrinted: (worker, stream, line) => {
        this.#reporter.printed(worker, stream, line);
      },
      onMetrics: (metrics) => {
        observer.reported(metrics);
      },
    });
  }

  #makePause(): Pause {
    const { pause_after: after } = this.#config.job_config.delivery;
    return new Pause({
      // A batch job has its end, and a file for its dead letters.
      after: this.#config.pipeline_options.streaming ? after : 0,
      clock: this.#clock,
      onPause: (failed) => {
        const message = `${failed} different messages in a row failed: the job pauses, and tries one now and then until one succeeds`;
        this.#readiness.paused = message;
        this.#dispatcher.hold();
        for (const source of this.#sources.all) source.pause();
        this.options.emit({ event: "paused", severity: "ERROR", job: this.#job.jobName, failed, message });
      },
      onTrial: () => {
        if (this.#dispatcher.tryOne() || this.#settlement.retrying) return;
        // What was in hand came to its end, or was lost: without a message to try the job would pause for ever.
        this.#wantsTrial = true;
        for (const source of this.#sources.all) source.resume();
      },
      onResume: () => {
        this.#wantsTrial = false;
        this.#readiness.paused = "";
        this.#dispatcher.goOn();
        for (const source of this.#sources.all) source.resume();
        this.options.emit({ event: "resumed", job: this.#job.jobName });
      },
    });
  }

  /** Begins to receive once a worker is ready and what the job needs is there. */
  async #connect(): Promise<void> {
    if (this.#readiness.phase !== "starting") return;
    this.#readiness.phase = "connecting";
    await this.options.edges.untilReady(this.#stopped.signal, (message) => {
      this.#readiness.waitingFor = message;
      this.#reporter.trouble("DEAD_LETTER_TOPIC", message);
    });
    this.#readiness.waitingFor = "";
    if (this.#stopped.signal.aborted || this.#draining) return;
    for (const source of this.#sources.all) source.start();
    if (this.#subscribed().length === 0) this.#tellReady();
  }

  // ---- in

  #receive(delivery: Delivery): void {
    if (this.#draining) {
      this.#settlement.giveBackUnseen(delivery.lease);
      return;
    }
    this.#lastId += 1n;
    const receipt = { id: this.#lastId, now: this.#clock.now() };
    const intake = takeIn(delivery, receipt, this.#config, this.#job);
    this.options.observer.received(intake.work);
    if (this.#inHand.take(intake.work) !== undefined) this.#admit(intake);
    if (this.#wantsTrial && this.#dispatcher.tryOne()) this.#receiveNoMore();
  }

  /** While the job pauses: there is a message to try. */
  #receiveNoMore(): void {
    this.#wantsTrial = false;
    for (const source of this.#sources.all) source.pause();
  }

  #admit(intake: Intake): void {
    const { work } = intake;
    if (this.#completed.has(work.identity) || this.#completed.has(work.delivered)) {
      void this.#settlement.finish(work, "duplicate", { reason: "it was done before" });
      return;
    }
    switch (intake.decision) {
      case "process":
        this.#lanes.enter(work, () => {
          this.#dispatcher.enqueue(work);
        });
        break;
      case "drop":
        void this.#settlement.finish(work, "not-for-this-job", { reason: intake.reason });
        break;
      // What goes on by itself waits for what came before it, too.
      case "pass":
        this.#lanes.enter(work, () => {
          const messages = [passing(work, this.#job)];
          void this.#settlement.publishAndFinish(work, messages, "passed-through", { reason: intake.reason });
        });
        break;
      case "undecodable":
        this.#lanes.enter(work, () => {
          void this.#settlement.bury(work, { code: "UNDECODABLE", message: intake.reason, node: "" });
        });
        break;
    }
  }
}
