import type { EffectiveConfig } from "@klio/config/effective";
import { Done_Kind, type Result } from "../../gen/worker_pb.js";
import type { JobIdentity } from "../message/index.js";
import type { Completed } from "./completed.js";
import { deadLetter, type Reason } from "./dead-letters.js";
import type { Dispatcher } from "./dispatcher.js";
import type { OutcomeEvent } from "./events.js";
import type { InHand } from "./in-hand.js";
import type { Lanes } from "./lanes.js";
import { outcomeNames, outgoing, passing, writeNames } from "./outputs.js";
import { type OutgoingMessage, type Publisher, RejectedError } from "./publisher.js";
import type { Reporter } from "./reporter.js";
import type { Lease, Subscriber } from "./subscriber.js";
import { judgeFailure, retryDelay, type Verdict } from "./verdicts.js";
import type { Work } from "./work.js";

export interface SettlementParts {
  readonly config: EffectiveConfig;
  readonly job: JobIdentity;
  readonly subscription: string;
  readonly reporter: Reporter;
  readonly subscriber: Subscriber;
  readonly dispatcher: Dispatcher;
  readonly output: Publisher | undefined;
  readonly deadLetters: Publisher | undefined;
  readonly inHand: InHand;
  readonly completed: Completed;
  readonly lanes: Lanes;
}

const firstPostponedMs = 1_000;

/** Brings messages to their end: outputs published and acknowledged, tried again, dead-lettered, or given back. */
export class Settlement {
  /** Set once the job stops: what would be tried again is given back. */
  draining = false;
  done = 0;
  givenBack = 0;
  readonly #parts: SettlementParts;
  readonly #retries = new Map<Work, NodeJS.Timeout>();
  readonly #givingBack = new Set<Promise<unknown>>();

  constructor(parts: SettlementParts) {
    this.#parts = parts;
  }

  /** Takes out what waits for its next attempt. */
  takeRetries(): Work[] {
    const waiting = [...this.#retries.keys()];
    for (const timer of this.#retries.values()) clearTimeout(timer);
    this.#retries.clear();
    return waiting;
  }

  /** Resolves when everything that was given back has been. */
  async givenBackAll(): Promise<void> {
    await Promise.all(this.#givingBack);
  }

  async settle(work: Work, result: Result): Promise<void> {
    if (work.leases.every((l) => l.lost)) {
      this.#forget(work); // somebody else has it by now
      return;
    }
    if (result.outcome.case === "failure") {
      const failure = result.outcome.value;
      await this.carryOut(judgeFailure(work, failure), work, failure.stack);
    } else if (result.outcome.case === "done") {
      const done = result.outcome.value;
      const messages =
        done.kind === Done_Kind.PASSED_THROUGH
          ? [passing(work, this.#parts.job)]
          : done.outputs.map((output) => outgoing(work, output, this.#parts.job));
      const objects = done.objects.map((o) => ({ uri: o.uri, write: writeNames[o.write], size: Number(o.size) }));
      const reason = done.reason === "" ? {} : { reason: done.reason };
      await this.publishAndFinish(work, messages, outcomeNames[done.kind], { objects, ...reason });
    }
  }

  async publishAndFinish(
    work: Work,
    messages: readonly OutgoingMessage[],
    outcome: OutcomeEvent["outcome"],
    more: Partial<OutcomeEvent>,
  ): Promise<void> {
    const publisher = this.#parts.output;
    work.publishing = true;
    try {
      if (publisher !== undefined) await Promise.all(messages.map((m) => publisher.publish(m)));
    } catch (error) {
      if (error instanceof RejectedError) {
        await this.bury(work, { code: "OUTPUT_REJECTED", message: error.message, node: "" });
      } // else the job stopped while it waited, and gives back what is in hand
      return;
    }
    await this.finish(work, outcome, { ...more, messages: publisher === undefined ? 0 : messages.length });
  }

  // ---- failures

  async carryOut(verdict: Verdict, work: Work, stack = ""): Promise<void> {
    if (work.leases.every((l) => l.lost)) {
      this.#forget(work); // somebody else has it by now
      return;
    }
    switch (verdict.kind) {
      case "bury":
        await this.bury(work, verdict.reason, stack);
        break;
      case "charge":
        await this.#charge(work, verdict.reason, stack);
        break;
      case "give-back":
        await this.giveBack(work, verdict.why);
        break;
      case "later":
        await this.#postpone(work, verdict.reason, stack);
        break;
      case "again":
        if (this.draining) await this.giveBack(work, "the job is stopping");
        else this.#parts.dispatcher.enqueue(work);
        break;
    }
  }

  async #charge(work: Work, reason: Reason, stack: string): Promise<void> {
    const { attempts, retry_delay_ms: first } = this.#parts.config.job_config.delivery;
    work.charged += 1;
    if (work.charged >= attempts) await this.bury(work, reason, stack);
    else await this.#retry(work, retryDelay(first, work.charged), reason, stack);
  }

  async #postpone(work: Work, reason: Reason, stack: string): Promise<void> {
    work.postponed += 1;
    await this.#retry(work, retryDelay(firstPostponedMs, work.postponed), reason, stack);
  }

  async #retry(work: Work, delay: number, reason: Reason, stack: string): Promise<void> {
    this.#parts.reporter.retry(work, this.#parts.config.job_config.delivery.attempts, delay, reason, stack);
    if (this.draining) {
      await this.giveBack(work, "the job is stopping");
      return;
    }
    const timer = setTimeout(() => {
      this.#retries.delete(work);
      this.#parts.dispatcher.enqueue(work);
    }, delay);
    this.#retries.set(work, timer);
  }

  /** The end of a message that cannot be processed. */
  async bury(work: Work, reason: Reason, stack = ""): Promise<void> {
    if (stack !== "") this.#parts.reporter.failure(work, reason.node, stack);
    if (this.#parts.deadLetters === undefined) {
      this.#letGo(work, reason.message);
      return;
    }
    work.publishing = true;
    try {
      await this.#parts.deadLetters.publish(
        deadLetter(work, reason, this.#parts.job.jobName, this.#parts.subscription),
      );
    } catch (error) {
      if (error instanceof RejectedError)
        this.#parts.reporter.trouble("DEAD_LETTER", `the dead letter was refused: ${error.message}`);
      this.#letGo(work, reason.message);
      return;
    }
    await this.finish(work, "dead-letter", { reason: reason.message, code: reason.code, node: reason.node });
  }

  // ---- ends

  async finish(work: Work, outcome: OutcomeEvent["outcome"], more: Partial<OutcomeEvent>): Promise<void> {
    if (outcome !== "dead-letter") this.#parts.completed.add(work.identity);
    // The service may deliver it again even now; whatever came meanwhile is acknowledged with the rest.
    while (work.leases.length > 0) {
      await Promise.all(this.#parts.inHand.takeLeases(work).map((lease) => this.#parts.subscriber.acknowledge(lease)));
    }
    this.done += 1;
    this.#forget(work);
    this.#parts.reporter.outcome(work, outcome, more);
  }

  /** The message is delivered again, at once; so is what waits behind it for its ordering key. */
  async giveBack(work: Work, reason: string): Promise<void> {
    if (!this.#parts.inHand.has(work)) return;
    const leases = this.#parts.inHand.takeLeases(work);
    for (const next of this.#parts.lanes.abandon(work)) void this.giveBack(next, reason);
    this.#forget(work);
    this.givenBack += 1;
    const done = Promise.all(leases.map((lease) => this.#parts.subscriber.giveBack(lease)));
    this.#givingBack.add(done);
    await done;
    this.#givingBack.delete(done);
    this.#parts.reporter.outcome(work, "given-back", { reason });
  }

  /** The message is left to the subscription's own policy: it is delivered again when its lease has expired. */
  #letGo(work: Work, reason: string): void {
    for (const lease of this.#parts.inHand.takeLeases(work)) this.#parts.subscriber.letGo(lease);
    for (const next of this.#parts.lanes.abandon(work)) void this.giveBack(next, reason);
    this.#forget(work);
    this.givenBack += 1;
    this.#parts.reporter.outcome(work, "given-back", { reason });
  }

  #forget(work: Work): void {
    this.#parts.inHand.remove(work);
    this.#parts.lanes.leave(work);
  }

  lost(lease: Lease): void {
    const work = this.#parts.inHand.ownerOf(lease);
    if (work?.leases.every((l) => l.lost) !== true) return;
    const id = work.delivery.messageId;
    this.#parts.reporter.trouble("LEASE_LOST", `the lease of message ${id} was lost; it will be delivered again`);
    const running = this.#parts.dispatcher.cancel(work, "the lease of the message was lost");
    if (running || work.publishing) return; // its end is looked at when it comes
    clearTimeout(this.#retries.get(work));
    this.#retries.delete(work);
    for (const next of this.#parts.lanes.abandon(work)) void this.giveBack(next, "the message before it was lost");
    this.#forget(work);
  }
}
