import { setTimeout as sleep } from "node:timers/promises";
import { deadLetterKind, type EffectiveConfig } from "@klio/config/effective";
import type { RunFolder } from "../batch/run-folder.js";
import type { JobIdentity } from "../message/index.js";
import { runtimeVersion } from "../version.js";
import { Completed } from "./completed.js";
import { Dispatcher, type DispatcherOptions } from "./dispatcher.js";
import { makeOutputs, makeSources, type Outputs, type Sources } from "./edges.js";
import type { Emit } from "./events.js";
import type { Fatal } from "./fleet.js";
import { InHand } from "./in-hand.js";
import { type Intake, takeIn } from "./intake.js";
import { Lanes } from "./lanes.js";
import { MetricTotals } from "./metric-totals.js";
import { passing } from "./outputs.js";
import { type Clients, messageOf } from "./pubsub-clients.js";
import { Reporter } from "./reporter.js";
import { Settlement } from "./settlement.js";
import type { Delivery } from "./source.js";
import { untilTopicExists } from "./topics.js";
import { judgeDeath } from "./verdicts.js";
import type { Build } from "./worker-process.js";

export interface SupervisorOptions {
  readonly config: EffectiveConfig;
  readonly clients: Clients;
  readonly emit: Emit;
  /** The elements of event files; absent when the job has none. */
  readonly run: RunFolder | undefined;
  readonly fleet: Pick<
    DispatcherOptions["fleet"],
    "entry" | "build" | "temporaryRoot" | "workers" | "warm" | "onRetired"
  >;
  /** The job cannot run. */
  readonly onFatal: (failure: Fatal) => void;
  /** A batch job is done with all its elements. */
  readonly onEnd: () => void;
}

/** Ids remembered as done. */
const completedLimit = 100_000;
const maxOutstandingBytes = 256 * 1024 * 1024;
/** How long idle workers may take to tear down. */
const teardownMs = 2_000;
/** How long before the end of the grace period `ctx.signal` aborts. */
const lastWordMs = 500;
/** How long giving back may take at the end; what it does not reach expires by itself. */
const giveBackMs = 2_000;

/** Receives messages, has workers process them, publishes what they put out, and only then acknowledges. */
export class Supervisor {
  readonly #config: EffectiveConfig;
  readonly #job: JobIdentity;
  readonly #reporter: Reporter;
  readonly #sources: Sources;
  readonly #dispatcher: Dispatcher;
  readonly #outputs: Outputs;
  readonly #inHand = new InHand();
  readonly #completed = new Completed(completedLimit);
  readonly #lanes = new Lanes((work) => {
    this.#dispatcher.enqueue(work);
  });
  readonly #settlement: Settlement;
  readonly #metrics = new MetricTotals();
  readonly #stopped = new AbortController();
  #state: "starting" | "connecting" | "ready" | "draining" = "starting";
  #lastId = 0n;
  #hurried = false;

  constructor(readonly options: SupervisorOptions) {
    const { config, clients } = options;
    this.#config = config;
    this.#job = { jobName: config.job_name, gcpProject: config.pipeline_options.project };
    this.#reporter = new Reporter(options.emit, config.job_name);
    this.#outputs = makeOutputs(config, clients, (message) => {
      this.#reporter.trouble("PUBLISH", message);
    });
    this.#sources = this.#makeSources();
    this.#dispatcher = this.#makeDispatcher();
    this.#settlement = new Settlement({
      config,
      job: this.#job,
      reporter: this.#reporter,
      dispatcher: this.#dispatcher,
      ...this.#outputs,
      inHand: this.#inHand,
      completed: this.#completed,
      lanes: this.#lanes,
    });
  }

  get #draining(): boolean {
    return this.#state === "draining";
  }

  start(): void {
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
    return { outcomes: this.#settlement.outcomes, failed: this.#sources.elements?.failed ?? 0 };
  }

  /** Stops receiving, finishes what is in hand within the grace period, gives back the rest. */
  async drain(reason: string): Promise<void> {
    if (this.#draining) return;
    this.#state = "draining";
    this.#settlement.draining = true;
    const end = Date.now() + this.#config.job_config.delivery.grace_period_ms;
    this.options.emit({ event: "draining", job: this.#job.jobName, in_hand: this.#inHand.size, reason });
    for (const source of this.#sources.all) source.stopPulling();
    const unbegun = [...this.#dispatcher.drain(), ...this.#lanes.clear(), ...this.#settlement.takeRetries()];
    for (const work of unbegun) void this.#settlement.giveBack(work, "the job is stopping");
    const waitUntil = async (time: number) => {
      while (this.#inHand.size > 0 && Date.now() < time && !this.#stopped.signal.aborted) await sleep(10);
    };
    await waitUntil(end - lastWordMs);
    this.#dispatcher.cancelAll("the grace period is over");
    await waitUntil(end);
    await this.#stop();
  }

  /** Ends the grace period: what is in hand is given back at once. */
  hurry(): void {
    this.#hurried = true;
    this.#stopped.abort();
  }

  async #stop(): Promise<void> {
    this.#stopped.abort();
    this.#outputs.close();
    await this.#dispatcher.stop(teardownMs);
    const why = this.#hurried ? "the job was stopped at once" : "the grace period is over";
    const left = this.#inHand.all().map((work) => this.#settlement.giveBack(work, why));
    await Promise.race([Promise.all([...left, this.#settlement.givenBackAll()]), sleep(giveBackMs)]);
    for (const source of this.#sources.all) await source.close();
    const metrics = this.#metrics.all();
    if (metrics.length > 0) this.options.emit({ event: "metrics", metrics });
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
    const { clients, fleet, run, onFatal, onEnd } = this.options;
    const { concurrency } = this.#config.job_config.workers;
    const onDelivery = (delivery: Delivery) => {
      this.#receive(delivery);
    };
    return makeSources(this.#config, clients, {
      capacity: fleet.workers * concurrency,
      maxBytes: maxOutstandingBytes,
      elements:
        run === undefined
          ? undefined
          : {
              folder: run,
              onDelivery,
              onEnd: () => {
                if (!this.#config.pipeline_options.streaming) onEnd();
              },
              onBroken: (error) => {
                onFatal({ code: "BATCH_JOURNAL", message: `${run.path}: ${messageOf(error)}`, stack: "" });
              },
            },
      subscriber: {
        onDelivery,
        onConnected: () => {
          this.#tellReady();
        },
        onTrouble: (error, delayMs) => {
          this.#reporter.trouble("PUBSUB", `${messageOf(error)}; again in ${Math.round(delayMs)} ms`);
        },
        onRefused: (subscription, error) => {
          onFatal({ code: "SUBSCRIPTION", message: `${subscription}: ${messageOf(error)}`, stack: "" });
        },
        onLost: (lease) => {
          this.#settlement.lost(lease);
        },
      },
    });
  }

  #tellReady(): void {
    if (this.#state !== "connecting") return;
    this.#state = "ready";
    const inputs = this.#config.job_config.events.inputs.map((i) =>
      i.type === "pubsub" ? i.subscription : i.location,
    );
    const { workers } = this.options.fleet;
    this.options.emit({ event: "ready", job: this.#job.jobName, inputs, workers });
  }

  #makeDispatcher(): Dispatcher {
    const { emit, onFatal } = this.options;
    const timeoutMs = this.#config.job_config.delivery.timeout_ms;
    return new Dispatcher({
      timeoutMs,
      fleet: {
        ...this.options.fleet,
        concurrency: this.#config.job_config.workers.concurrency,
        timeoutMs,
        onFatal,
        onRestart: (how, delayMs) => {
          this.#reporter.trouble("WORKER_RESTART", `a worker died (${how}); another is started in ${delayMs} ms`);
        },
        onReloaded: ({ directory }) => {
          emit({ event: "reloaded", job: this.#job.jobName, directory });
        },
        onReloadFailed: (failure, { directory }) => {
          const { code, message, stack } = failure;
          emit({ event: "reload-failed", severity: "ERROR", job: this.#job.jobName, directory, code, message, stack });
        },
      },
      onReady: () => void this.#connect(),
      onResult: (work, result) => void this.#settlement.settle(work, result),
      onDeath: (work, death) => void this.#settlement.carryOut(judgeDeath(death), work),
      onLog: (worker, work, log) => {
        this.#reporter.log(worker, work, log);
      },
      onPrinted: (worker, stream, line) => {
        this.#reporter.printed(worker, stream, line);
      },
      onMetrics: (metrics) => {
        this.#metrics.add(metrics);
      },
    });
  }

  /** Begins to receive once a worker is ready and dead letters have somewhere to go. */
  async #connect(): Promise<void> {
    if (this.#state !== "starting") return;
    this.#state = "connecting";
    const topic = this.#config.job_config.delivery.dead_letter;
    if (deadLetterKind(topic) === "topic") {
      await untilTopicExists(this.options.clients.publisher, topic, this.#stopped.signal, (message) => {
        this.#reporter.trouble("DEAD_LETTER_TOPIC", message);
      });
    }
    if (this.#stopped.signal.aborted || this.#draining) return;
    for (const source of this.#sources.all) source.start();
    const connects = this.#config.job_config.events.inputs.some((i) => i.type === "pubsub");
    if (!connects) this.#tellReady();
  }

  // ---- in

  #receive(delivery: Delivery): void {
    if (this.#draining) {
      void delivery.lease.source.giveBack(delivery.lease);
      return;
    }
    this.#lastId += 1n;
    const intake = takeIn(delivery, this.#lastId, this.#config, this.#job);
    if (this.#inHand.take(intake.work) !== undefined) void this.#admit(intake);
  }

  async #admit(intake: Intake): Promise<void> {
    const { work } = intake;
    if (this.#completed.has(work.identity)) {
      await this.#settlement.finish(work, "duplicate", { reason: "it was done before" });
      return;
    }
    switch (intake.decision) {
      case "process":
        this.#lanes.enter(work);
        break;
      case "drop":
        await this.#settlement.finish(work, "not-for-this-job", { reason: intake.reason });
        break;
      case "pass":
        await this.#settlement.publishAndFinish(work, [passing(work, this.#job)], "passed-through", {
          reason: intake.reason,
        });
        break;
      case "undecodable":
        await this.#settlement.bury(work, { code: "UNDECODABLE", message: intake.reason, node: "" });
        break;
    }
  }
}
