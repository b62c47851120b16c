import type { Clock } from "../clock.js";
import type { Log } from "../../gen/worker_pb.js";
import type { Reason } from "./dead-letters.js";
import type { Emit, OutcomeEvent } from "./events.js";
import type { OutcomeName } from "./outcome-name.js";
import type { Work } from "./work.js";

/** Why and when a message is tried again. */
export interface Again {
  /** Whether the attempt that failed counts. */
  readonly charged: boolean;
  /** How many may count. */
  readonly attempts: number;
  readonly delayMs: number;
  readonly reason: Reason;
  readonly stack: string;
}

/** Tells what becomes of messages. */
export class Reporter {
  constructor(
    readonly emit: Emit,
    readonly job: string,
    readonly clock: Clock,
  ) {}

  outcome(work: Work, outcome: OutcomeName, more: Partial<OutcomeEvent>): void {
    this.emit({
      event: "outcome",
      severity: outcome === "dead-letter" ? "ERROR" : "INFO",
      outcome,
      ...this.#who(work),
      klio_id: work.klioId,
      attempts: work.starts,
      charged: work.charged,
      duration_ms: this.clock.now() - work.receivedAt,
      objects: [],
      messages: 0,
      ...more,
    });
  }

  retry(work: Work, again: Again): void {
    const { attempts, delayMs, stack } = again;
    const { code, message, node } = again.reason;
    const how = { charged: work.charged, attempts, delay_ms: delayMs, reason: message, code, node, stack };
    const uncharged = again.charged ? {} : { uncharged: true as const };
    this.emit({ event: "retry", severity: "WARNING", ...this.#who(work), ...how, ...uncharged });
  }

  /** The full stack of what ended a message. */
  failure(work: Work, node: string, stack: string): void {
    this.emit({
      event: "log",
      severity: "ERROR",
      message: stack,
      node,
      of_dead_letter: true,
      ...this.#who(work),
      attempt: work.starts,
    });
  }

  /** The full stack of what ended a worker. */
  broken(stack: string): void {
    this.emit({ event: "log", severity: "ERROR", message: stack, job: this.job });
  }

  /** What user code logged. */
  log(worker: number, work: Work | undefined, { severity, message, node, fieldsJson }: Log): void {
    const who =
      work === undefined ? { job: this.job } : { ...this.#who(work), klio_id: work.klioId, attempt: work.starts };
    const fields = fieldsJson === "" ? {} : (JSON.parse(fieldsJson) as unknown);
    this.emit({ event: "log", severity, message, node, worker, fields, ...who });
  }

  /** What user code printed. */
  printed(worker: number, stream: "stdout" | "stderr", line: string): void {
    const severity = stream === "stderr" ? "WARNING" : "INFO";
    this.emit({ event: "log", severity, message: line, job: this.job, worker });
  }

  trouble(code: string, message: string): void {
    this.emit({ event: "trouble", severity: "WARNING", code, message });
  }

  #who(work: Work) {
    return { job: this.job, element: work.element, message_id: work.delivery.messageId, input: work.delivery.input };
  }
}
