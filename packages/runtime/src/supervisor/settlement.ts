import type { EffectiveConfig } from "@klio/config/effective";
import { type Done, Done_Kind, type Failure, type Result } from "../../gen/worker_pb.js";
import { deadLetterRecord } from "../batch/file-output.js";
import { type JobIdentity, timesTaken, Version } from "../message/index.js";
import type { Completed } from "./completed.js";
import { deadLetter, type Reason } from "./dead-letters.js";
import type { Dispatcher } from "./dispatcher.js";
import type { OutcomeEvent } from "./events.js";
import type { OutcomeName } from "./outcome-name.js";
import type { InHand } from "./in-hand.js";
import type { Lanes } from "./lanes.js";
import type { Observer } from "./observer.js";
import type { Clock } from "../clock.js";
import type { Pause } from "./pause.js";
import { type OutgoingMessage, type Output, RejectedError } from "./output.js";
import { outcomeNames, outgoing, passing, upstream, writeNames } from "./outputs.js";
import type { Again, Reporter } from "./reporter.js";
import type { Lease } from "./source.js";
import { judgeFailure, retryDelay, type Verdict } from "./verdicts.js";
import type { Work } from "./work.js";

export interface SettlementParts {
  readonly config: EffectiveConfig;
  readonly job: JobIdentity;
  readonly reporter: Reporter;
  readonly dispatcher: Dispatcher;
  readonly outputs: readonly Output[];
  /** "file": they are kept with the work and written when the run has finished. */
  readonly deadLetters: Output | "file" | undefined;
  /** Input topics of the parent jobs. */
  readonly parents: readonly { readonly parent: JobIdentity; readonly output: Output }[];
  readonly inHand: InHand;
  readonly completed: Completed;
  readonly lanes: Lanes;
  readonly clock: Clock;
  readonly pause: Pause;
  readonly observer: Observer;
}

/** Brings messages to their end: outputs published and acknowledged, tried again, dead-lettered, or given back. */
export class Settlement {
  #draining = false;
  done = 0;
  givenBack = 0;
  /** How many messages had which outcome. */
  readonly outcomes = new Map<string, number>();
  readonly #parts: SettlementParts;
  /** What calls off the next attempt of those that wait for it. */
  readonly #retries = new Map<Work, () => void>();
  readonly #givingBack = new Set<Promise<unknown>>();
  #quiet: Promise<unknown> = Promise.resolve();

  constructor(parts: SettlementParts) {
    this.#parts = parts;
  }

  /** The job stops: what would be tried again is given back from now on. `quiet` resolves when nothing more is delivered. */
  drain(quiet: Promise<unknown>): void {
    this.#draining = true;
    // What is given back earlier is delivered to the same job once more.
    this.#quiet = quiet;
  }

  /** Whether something waits for its next attempt. */
  get retrying(): boolean {
    return this.#retries.size > 0;
  }

  /** Takes out what waits for its next attempt. */
  takeRetries(): Work[] {
    const waiting = [...this.#retries.keys()];
    for (const callOff of this.#retries.values()) callOff();
    this.#retries.clear();
    return waiting;
  }

  /** Resolves when everything that was given back has been. */
  async givenBackAll(): Promise<void> {
    await Promise.all(this.#givingBack);
  }

  /** Resolves when the message has come to its end, or waits for its next attempt. */
  settle(work: Work, result: Result): Promise<void> {
    this.#parts.observer.attempted(result);
    if (work.leases.every((l) => l.lost)) {
      this.#forgetLost(work);
      return Promise.resolve();
    }
    const { outcome } = result;
    if (outcome.case === "done") return this.#settleDone(work, outcome.value);
    if (outcome.case === "failure") return this.#settleFailure(work, outcome.value);
    return Promise.resolve();
  }

  #settleDone(work: Work, done: Done): Promise<void> {
    const { job, pause } = this.#parts;
    const passed = done.kind === Done_Kind.PASSED_THROUGH;
    if (passed) pause.undecided();
    else pause.succeeded();
    const messages = passed ? [passing(work, job)] : done.outputs.map((output) => outgoing(work, output, job));
    const objects = done.objects.map((o) => ({ uri: o.uri, write: writeNames[o.write], size: Number(o.size) }));
    const more = done.reason === "" ? { objects } : { objects, reason: done.reason };
    return this.publishAndFinish(work, messages, outcomeNames[done.kind], more);
  }

  #settleFailure(work: Work, failure: Failure): Promise<void> {
    const { parents } = this.#parts;
    if (isMissingInput(failure) && parents.length > 0 && work.message.version === Version.V2) {
      return this.#askParents(work, failure);
    }
    return this.carryOut(judgeFailure(work, failure), work, failure.stack);
  }

  async publishAndFinish(
    work: Work,
    messages: readonly OutgoingMessage[],
    outcome: OutcomeName,
    more: Partial<OutcomeEvent>,
  ): Promise<void> {
    const { outputs } = this.#parts;
    work.publishing = true;
    work.lines.length = 0;
    try {
      // Files come first: they refuse at once, before anything is on its way to a topic.
      for (const output of outputs) await all(messages.map((m) => output.publish(m, work)));
    } catch (error) {
      if (error instanceof RejectedError) {
        await this.bury(work, { code: "OUTPUT_REJECTED", message: error.message, node: "" });
      } // else the job stopped while it waited, and gives back what is in hand
      return;
    }
    await this.finish(work, outcome, { ...more, messages: messages.length * outputs.length });
  }

  /** The input is missing: the parents are asked for it, once. */
  async #askParents(work: Work, failure: Failure): Promise<void> {
    const { parents, job } = this.#parts;
    const names = parents.map((p) => p.parent.jobName).join(", ");
    if (timesTaken(work.message, job) > 1) {
      const message = `${failure.message}, although ${names} was asked for it`;
      const reason = { code: failure.code, message, node: "" };
      // One parent of several may have answered before the one whose object this is.
      await this.carryOut(parents.length > 1 ? { kind: "charge", reason } : { kind: "bury", reason }, work);
      return;
    }
    this.#parts.pause.undecided();
    work.publishing = true;
    try {
      await Promise.all(parents.map(({ parent, output }) => output.publish(upstream(work, parent, job), work)));
    } catch (error) {
      if (error instanceof RejectedError) {
        await this.bury(work, { code: "OUTPUT_REJECTED", message: error.message, node: "" });
      }
      return;
    }
    await this.finish(work, "sent-upstream", { reason: `${failure.message}; ${names} was asked for it` });
  }

  // ---- failures

  async carryOut(verdict: Verdict, work: Work, stack = ""): Promise<void> {
    if (work.leases.every((l) => l.lost)) {
      this.#forgetLost(work);
      return;
    }
    switch (verdict.kind) {
      case "bury":
        this.#parts.pause.undecided();
        await this.bury(work, verdict.reason, stack);
        break;
      case "charge":
        await this.#charge(work, verdict.reason, stack);
        break;
      case "give-back":
        await this.giveBack(work, verdict.why);
        break;
      case "later":
        this.#parts.pause.failed(work.identity);
        await this.#postpone(work, verdict.reason, stack);
        break;
      case "again":
        if (this.#draining) await this.giveBack(work, "the job is stopping");
        else this.#parts.dispatcher.enqueue(work);
        break;
    }
  }

  async #charge(work: Work, reason: Reason, stack: string): Promise<void> {
    const { attempts } = this.#parts.config.job_config.delivery;
    if (!this.#parts.pause.failed(work.identity)) {
      await this.#postpone(work, reason, stack);
      return;
    }
    work.charged += 1;
    this.#parts.observer.charged(reason.code);
    if (work.charged >= attempts) await this.bury(work, reason, stack);
    else await this.#retry(work, { charged: true, delayMs: this.#delay(work.charged), reason, stack });
  }

  /** Once more after a while, and nothing is charged: what failed is not the message's fault. */
  async #postpone(work: Work, reason: Reason, stack: string): Promise<void> {
    work.postponed += 1;
    await this.#retry(work, { charged: false, delayMs: this.#delay(work.postponed), reason, stack });
  }

  #delay(failed: number): number {
    const { retry_delay_ms: first, max_retry_delay_ms: longest } = this.#parts.config.job_config.delivery;
    return retryDelay(first, failed, longest);
  }

  async #retry(work: Work, again: Omit<Again, "attempts">): Promise<void> {
    const { attempts } = this.#parts.config.job_config.delivery;
    this.#parts.reporter.retry(work, { ...again, attempts });
    if (this.#draining) {
      await this.giveBack(work, "the job is stopping");
      return;
    }
    const callOff = this.#parts.clock.delay(again.delayMs, () => {
      this.#retries.delete(work);
      this.#parts.dispatcher.enqueue(work);
    });
    this.#retries.set(work, callOff);
  }

  /** The end of a message that cannot be processed. */
  async bury(work: Work, reason: Reason, stack = ""): Promise<void> {
    if (stack !== "") this.#parts.reporter.failure(work, reason.node, stack);
    const { deadLetters, job } = this.#parts;
    work.lines.length = 0;
    if (deadLetters === undefined) {
      this.#letGo(work, reason.message);
      return;
    }
    if (deadLetters === "file") {
      work.deadLetter = deadLetterRecord(work, { reason: reason.message, code: reason.code, node: reason.node });
      await this.#finishDead(work, reason, stack);
      return;
    }
    work.publishing = true;
    try {
      await deadLetters.publish(deadLetter(work, reason, job.jobName, this.#subscriptionOf(work)), work);
    } catch (error) {
      if (!(error instanceof RejectedError)) return; // the job stopped while it waited, and gives back what is in hand
      this.#parts.reporter.trouble("DEAD_LETTER", `the dead letter was refused: ${error.message}`);
      this.#letGo(work, reason.message);
      return;
    }
    await this.#finishDead(work, reason, stack);
  }

  #finishDead(work: Work, { message, code, node }: Reason, stack: string): Promise<void> {
    const { dead_letter } = this.#parts.config.job_config.delivery;
    const more = { reason: message, code, node, dead_letter, ...(stack === "" ? {} : { stack }) };
    return this.finish(work, "dead-letter", more);
  }

  // ---- ends

  async finish(work: Work, outcome: OutcomeName, more: Partial<OutcomeEvent>): Promise<void> {
    // The same delivery may come again, e.g. when its acknowledgement is lost; a replay of a dead letter is another one.
    this.#parts.completed.add(outcome === "dead-letter" ? work.delivered : work.identity);
    const end = { outcome, lines: work.lines, deadLetter: work.deadLetter };
    // The service may deliver it again even now; whatever came meanwhile is acknowledged with the rest.
    while (work.leases.length > 0) {
      await all(this.#parts.inHand.takeLeases(work).map((lease) => lease.source.acknowledge(lease, end)));
    }
    this.done += 1;
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
    this.#parts.observer.ended(work, outcome);
    this.#forget(work);
    this.#parts.reporter.outcome(work, outcome, more);
  }

  /** The message is delivered again, at once; so is what waits behind it for its ordering key. */
  async giveBack(work: Work, reason: string): Promise<void> {
    // Without a lease it is acknowledged already, and only the confirmation is waited for.
    if (!this.#parts.inHand.has(work) || work.leases.length === 0) return;
    const leases = this.#parts.inHand.takeLeases(work);
    for (const next of this.#parts.lanes.abandon(work)) void this.giveBack(next, reason);
    this.#forget(work);
    this.givenBack += 1;
    await this.#giveBack(leases);
    this.#parts.reporter.outcome(work, "given-back", { reason });
  }

  /** A message that came too late to be taken in. */
  giveBackUnseen(lease: Lease): void {
    void this.#giveBack([lease]);
  }

  async #giveBack(leases: readonly Lease[]): Promise<void> {
    const done = this.#quiet.then(() => Promise.all(leases.map((lease) => lease.source.giveBack(lease))));
    this.#givingBack.add(done);
    await done;
    this.#givingBack.delete(done);
  }

  /**
   * The message is left to the subscription's own policy: it is delivered again when its lease has expired. So is what waits
   * behind it for its ordering key: given back, it would overtake it.
   */
  #letGo(work: Work, reason: string): void {
    for (const lease of this.#parts.inHand.takeLeases(work)) lease.source.letGo(lease);
    for (const next of this.#parts.lanes.abandon(work)) this.#letGo(next, `it waits for its turn: ${reason}`);
    this.#forget(work);
    this.givenBack += 1;
    this.#parts.reporter.outcome(work, "given-back", { reason });
  }

  #subscriptionOf(work: Work): string {
    const input = this.#parts.config.job_config.events.inputs.find((i) => i.name === work.delivery.input);
    return input?.type === "pubsub" ? input.subscription : "";
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
    this.#retries.get(work)?.();
    this.#retries.delete(work);
    this.#forgetLost(work);
  }

  /** Somebody else has the message by now, or will; what waits behind it for its ordering key must not go past it. */
  #forgetLost(work: Work): void {
    for (const next of this.#parts.lanes.abandon(work)) void this.giveBack(next, "the message before it was lost");
    this.#forget(work);
  }
}

/** As Promise.all; most messages have one output and one lease, for which it is dear. */
function all(promises: readonly Promise<unknown>[]): Promise<unknown> {
  const [first] = promises;
  return first !== undefined && promises.length === 1 ? first : Promise.all(promises);
}

/** The engine's own look at the input, not user code's. */
function isMissingInput(failure: Failure): boolean {
  return failure.code === "INPUT_NOT_FOUND" && failure.node === "";
}
