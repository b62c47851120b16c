import { setTimeout as sleep } from "node:timers/promises";
import type { EffectiveConfig } from "@klio/config/effective";
import type { Failure } from "../../gen/worker_pb.js";
import type { JobIdentity } from "../message/index.js";
import { runtimeVersion } from "../version.js";
import { Completed } from "./completed.js";
import { Dispatcher, type DispatcherOptions } from "./dispatcher.js";
import type { Emit } from "./events.js";
import { InHand } from "./in-hand.js";
import { type Intake, takeIn } from "./intake.js";
import { Lanes } from "./lanes.js";
import { MetricTotals } from "./metric-totals.js";
import { passing } from "./outputs.js";
import { Publisher } from "./publisher.js";
import { type Clients, messageOf } from "./pubsub-clients.js";
import { type Delivery, Subscriber } from "./subscriber.js";
import { Reporter } from "./reporter.js";
import { Settlement } from "./settlement.js";
import { untilTopicExists } from "./topics.js";
import { judgeDeath } from "./verdicts.js";

export interface SupervisorOptions {
  readonly config: EffectiveConfig;
  readonly clients: Clients;
  readonly emit: Emit;
  readonly workers: number;
  readonly dispatcher: Pick<DispatcherOptions, "entry" | "jobDir" | "configJson" | "temporaryRoot">;
  /** The job cannot run. */
  readonly onFatal: (failure: Pick<Failure, "code" | "message" | "stack">) => void;
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
  readonly #subscription: string;
  readonly #subscriber: Subscriber;
  readonly #dispatcher: Dispatcher;
  readonly #output: Publisher | undefined;
  readonly #deadLetters: Publisher | undefined;
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

  constructor(readonly options: SupervisorOptions) {
    const { config, workers } = options;
    this.#config = config;
    this.#job = { jobName: config.job_name, gcpProject: config.pipeline_options.project };
    this.#reporter = new Reporter(options.emit, config.job_name);
    const { delivery, events } = config.job_config;
    const [output] = events.outputs;
    this.#subscription = events.inputs[0]?.subscription ?? "";
    this.#output = output === undefined || output.skip_klio_write ? undefined : this.#publisher(output.topic);
    this.#deadLetters = delivery.dead_letter === "none" ? undefined : this.#publisher(delivery.dead_letter);
    this.#subscriber = this.#makeSubscriber(delivery.ack_deadline_ms, workers * config.job_config.workers.concurrency);
    this.#dispatcher = this.#makeDispatcher();
    this.#settlement = new Settlement({
      config,
      job: this.#job,
      subscription: this.#subscription,
      reporter: this.#reporter,
      subscriber: this.#subscriber,
      dispatcher: this.#dispatcher,
      output: this.#output,
      deadLetters: this.#deadLetters,
      inHand: this.#inHand,
      completed: this.#completed,
      lanes: this.#lanes,
    });
  }

  get #draining(): boolean {
    return this.#state === "draining";
  }

  start(): void {
    const { emit, workers } = this.options;
    emit({ event: "starting", job: this.#job.jobName, version: runtimeVersion, workers });
    this.#dispatcher.start();
  }

  /** Stops receiving, finishes what is in hand within the grace period, gives back the rest. */
  async drain(reason: string): Promise<void> {
    if (this.#draining) return;
    this.#state = "draining";
    this.#settlement.draining = true;
    const end = Date.now() + this.#config.job_config.delivery.grace_period_ms;
    this.options.emit({ event: "draining", job: this.#job.jobName, in_hand: this.#inHand.size, reason });
    this.#subscriber.stopPulling();
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
    this.#stopped.abort();
  }

  async #stop(): Promise<void> {
    this.#stopped.abort();
    this.#output?.close();
    this.#deadLetters?.close();
    await this.#dispatcher.stop(teardownMs);
    const left = this.#inHand.all().map((work) => this.#settlement.giveBack(work, "the grace period is over"));
    await Promise.race([Promise.all([...left, this.#settlement.givenBackAll()]), sleep(giveBackMs)]);
    this.#subscriber.close();
    const metrics = this.#metrics.all();
    if (metrics.length > 0) this.options.emit({ event: "metrics", metrics });
    this.options.emit({
      event: "stopped",
      job: this.#job.jobName,
      done: this.#settlement.done,
      given_back: this.#settlement.givenBack,
    });
  }

  // ---- parts

  #publisher(topic: string): Publisher {
    return new Publisher(this.options.clients.publisher, topic, (error, delayMs) => {
      this.#reporter.trouble("PUBLISH", `${messageOf(error)}; again in ${delayMs} ms`);
    });
  }

  #makeSubscriber(ackDeadlineMs: number, capacity: number): Subscriber {
    return new Subscriber({
      client: this.options.clients.subscriber,
      subscription: this.#subscription,
      ackDeadlineMs,
      // As much again as the workers hold waits here, so that none of them runs dry.
      maxMessages: 2 * capacity,
      maxBytes: maxOutstandingBytes,
      onDelivery: (delivery) => {
        this.#receive(delivery);
      },
      onConnected: () => {
        if (this.#state !== "connecting") return;
        this.#state = "ready";
        const { jobName: job } = this.#job;
        const workers = this.#dispatcher.readyWorkers;
        this.options.emit({ event: "ready", job, subscription: this.#subscription, workers });
      },
      onTrouble: (error, delayMs) => {
        this.#reporter.trouble("PUBSUB", `${messageOf(error)}; again in ${Math.round(delayMs)} ms`);
      },
      onRefused: (error) => {
        this.options.onFatal({
          code: "SUBSCRIPTION",
          message: `${this.#subscription}: ${messageOf(error)}`,
          stack: "",
        });
      },
      onLost: (lease) => {
        this.#settlement.lost(lease);
      },
    });
  }

  #makeDispatcher(): Dispatcher {
    const { onFatal, workers } = this.options;
    return new Dispatcher({
      ...this.options.dispatcher,
      workers,
      concurrency: this.#config.job_config.workers.concurrency,
      timeoutMs: this.#config.job_config.delivery.timeout_ms,
      onReady: () => void this.#connect(),
      onFatal,
      onResult: (work, result) => void this.#settlement.settle(work, result),
      onDeath: (work, death) => void this.#settlement.carryOut(judgeDeath(death), work),
      onLog: (worker, work, log) => {
        this.#reporter.log(worker, work, log);
      },
      onPrinted: (worker, stream, line) => {
        this.#reporter.printed(worker, stream, line);
      },
      onRestart: (how, delayMs) => {
        this.#reporter.trouble("WORKER_RESTART", `a worker died (${how}); another is started in ${delayMs} ms`);
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
    if (this.#deadLetters !== undefined) {
      const { topic } = this.#deadLetters;
      await untilTopicExists(this.options.clients.publisher, topic, this.#stopped.signal, (message) => {
        this.#reporter.trouble("DEAD_LETTER_TOPIC", message);
      });
    }
    if (!this.#stopped.signal.aborted && !this.#draining) this.#subscriber.start();
  }

  // ---- in

  #receive(delivery: Delivery): void {
    if (this.#draining) {
      void this.#subscriber.giveBack(delivery.lease);
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
