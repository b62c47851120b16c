import { setTimeout as sleep } from "node:timers/promises";
import type { EffectiveConfig } from "@klio/config/effective";
import { Done_Kind, type Failure, type Result } from "../../gen/worker_pb.js";
import type { JobIdentity } from "../message/index.js";
import { runtimeVersion } from "../version.js";
import { Completed } from "./completed.js";
import { deadLetter, type Reason } from "./dead-letters.js";
import { Dispatcher, type DispatcherOptions } from "./dispatcher.js";
import type { Emit, OutcomeEvent } from "./events.js";
import { InHand } from "./in-hand.js";
import { type Intake, takeIn } from "./intake.js";
import { Lanes } from "./lanes.js";
import { MetricTotals } from "./metric-totals.js";
import { outcomeNames, outgoing, passing, writeNames } from "./outputs.js";
import { type OutgoingMessage, Publisher, RejectedError } from "./publisher.js";
import { type Clients, messageOf } from "./pubsub-clients.js";
import { type Delivery, type Lease, Subscriber } from "./subscriber.js";
import { Reporter } from "./reporter.js";
import { untilTopicExists } from "./topics.js";
import { judgeDeath, judgeFailure, retryDelay, type Verdict } from "./verdicts.js";
import type { Work } from "./work.js";

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
  readonly #retries = new Map<Work, NodeJS.Timeout>();
  readonly #metrics = new MetricTotals();
  readonly #stopped = new AbortController();
  #state: "starting" | "connecting" | "ready" | "draining" = "starting";
  #lastId = 0n;
  #done = 0;
  #givenBack = 0;

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
    this.options.emit({ event: "draining", job: this.#job.jobName, in_hand: this.#inHand.size, reason });
    this.#subscriber.stopPulling();
    const unbegun = [...this.#dispatcher.drain(), ...this.#lanes.clear(), ...this.#retries.keys()];
    for (const timer of this.#retries.values()) clearTimeout(timer);
    this.#retries.clear();
    await Promise.all(unbegun.map((work) => this.#giveBack(work, "the job is stopping")));
    const end = Date.now() + this.#config.job_config.delivery.grace_period_ms;
    while (this.#inHand.size > 0 && Date.now() < end && !this.#stopped.signal.aborted) await sleep(10);
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
    await Promise.all(this.#inHand.all().map((work) => this.#giveBack(work, "the grace period is over")));
    this.#subscriber.close();
    const metrics = this.#metrics.all();
    if (metrics.length > 0) this.options.emit({ event: "metrics", metrics });
    this.options.emit({ event: "stopped", job: this.#job.jobName, done: this.#done, given_back: this.#givenBack });
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
        this.#lost(lease);
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
      onResult: (work, result) => void this.#settle(work, result),
      onDeath: (work, death) => void this.#carryOut(judgeDeath(death), work),
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
      await this.#finish(work, "duplicate", { reason: "it was done before" });
      return;
    }
    switch (intake.decision) {
      case "process":
        this.#lanes.enter(work);
        break;
      case "drop":
        await this.#finish(work, "not-for-this-job", { reason: intake.reason });
        break;
      case "pass":
        await this.#publishAndFinish(work, [passing(work, this.#job)], "passed-through", { reason: intake.reason });
        break;
      case "undecodable":
        await this.#bury(work, { code: "UNDECODABLE", message: intake.reason, node: "" });
        break;
    }
  }

  // ---- out

  async #settle(work: Work, result: Result): Promise<void> {
    if (work.leases.every((l) => l.lost)) {
      this.#forget(work); // somebody else has it by now
      return;
    }
    if (result.outcome.case === "failure") {
      const failure = result.outcome.value;
      await this.#carryOut(judgeFailure(work, failure), work, failure.stack);
    } else if (result.outcome.case === "done") {
      const done = result.outcome.value;
      const messages =
        done.kind === Done_Kind.PASSED_THROUGH
          ? [passing(work, this.#job)]
          : done.outputs.map((output) => outgoing(work, output, this.#job));
      const objects = done.objects.map((o) => ({ uri: o.uri, write: writeNames[o.write], size: Number(o.size) }));
      const reason = done.reason === "" ? {} : { reason: done.reason };
      await this.#publishAndFinish(work, messages, outcomeNames[done.kind], { objects, ...reason });
    }
  }

  async #publishAndFinish(
    work: Work,
    messages: readonly OutgoingMessage[],
    outcome: OutcomeEvent["outcome"],
    more: Partial<OutcomeEvent>,
  ): Promise<void> {
    const publisher = this.#output;
    try {
      if (publisher !== undefined) await Promise.all(messages.map((m) => publisher.publish(m)));
    } catch (error) {
      if (error instanceof RejectedError) {
        await this.#bury(work, { code: "OUTPUT_REJECTED", message: error.message, node: "" });
      } // else the job stopped while it waited, and gives back what is in hand
      return;
    }
    await this.#finish(work, outcome, { ...more, messages: publisher === undefined ? 0 : messages.length });
  }

  // ---- failures

  async #carryOut(verdict: Verdict, work: Work, stack = ""): Promise<void> {
    switch (verdict.kind) {
      case "bury":
        await this.#bury(work, verdict.reason, stack);
        break;
      case "charge":
        await this.#charge(work, verdict.reason, stack);
        break;
      case "give-back":
        await this.#giveBack(work, verdict.why);
        break;
      case "again":
        if (this.#draining) await this.#giveBack(work, "the job is stopping");
        else this.#dispatcher.enqueue(work);
        break;
    }
  }

  async #charge(work: Work, reason: Reason, stack: string): Promise<void> {
    const { attempts, retry_delay_ms: first } = this.#config.job_config.delivery;
    work.charged += 1;
    if (work.charged >= attempts) {
      await this.#bury(work, reason, stack);
      return;
    }
    const delay = retryDelay(first, work.charged);
    this.#reporter.retry(work, attempts, delay, reason, stack);
    if (this.#draining) {
      await this.#giveBack(work, "the job is stopping");
      return;
    }
    const timer = setTimeout(() => {
      this.#retries.delete(work);
      this.#dispatcher.enqueue(work);
    }, delay);
    this.#retries.set(work, timer);
  }

  /** The end of a message that cannot be processed. */
  async #bury(work: Work, reason: Reason, stack = ""): Promise<void> {
    if (stack !== "") this.#reporter.failure(work, reason.node, stack);
    if (this.#deadLetters === undefined) {
      await this.#giveBack(work, reason.message);
      return;
    }
    try {
      await this.#deadLetters.publish(deadLetter(work, reason, this.#job.jobName, this.#subscription));
    } catch (error) {
      if (error instanceof RejectedError)
        this.#reporter.trouble("DEAD_LETTER", `the dead letter was refused: ${error.message}`);
      await this.#giveBack(work, reason.message);
      return;
    }
    await this.#finish(work, "dead-letter", { reason: reason.message, code: reason.code, node: reason.node });
  }

  // ---- ends

  async #finish(work: Work, outcome: OutcomeEvent["outcome"], more: Partial<OutcomeEvent>): Promise<void> {
    if (outcome !== "dead-letter") this.#completed.add(work.identity);
    // The service may deliver it again even now; whatever came meanwhile is acknowledged with the rest.
    while (work.leases.length > 0) {
      await Promise.all(this.#inHand.takeLeases(work).map((lease) => this.#subscriber.acknowledge(lease)));
    }
    this.#done += 1;
    this.#forget(work);
    this.#reporter.outcome(work, outcome, more);
  }

  async #giveBack(work: Work, reason: string): Promise<void> {
    if (!this.#inHand.has(work)) return;
    const leases = this.#inHand.takeLeases(work);
    this.#forget(work);
    this.#givenBack += 1;
    await Promise.all(leases.map((lease) => this.#subscriber.giveBack(lease)));
    this.#reporter.outcome(work, "given-back", { reason });
  }

  #forget(work: Work): void {
    this.#inHand.remove(work);
    this.#lanes.leave(work);
  }

  #lost(lease: Lease): void {
    const work = this.#inHand.ownerOf(lease);
    if (work?.leases.every((l) => l.lost) !== true) return;
    this.#dispatcher.cancel(work, "the lease of the message was lost");
    this.#reporter.trouble(
      "LEASE_LOST",
      `the lease of message ${work.delivery.messageId} was lost; it will be delivered again`,
    );
  }
}
