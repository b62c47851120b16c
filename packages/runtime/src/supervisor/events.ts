import { jsonLine } from "../json-line.js";
import type { MetricTotal } from "../metrics/totals.js";
import type { InFlight } from "./in-flight.js";
import type { OutcomeName } from "./outcome-name.js";

/** What `klio-runtime` prints on stdout, one JSON object a line; the schema is spec/runtime-events.schema.json. */
export type RuntimeEvent =
  | { readonly event: "starting"; readonly job: string; readonly version: string; readonly workers: number }
  | {
      readonly event: "gathered";
      readonly job: string;
      readonly elements: number;
      readonly blank: number;
      readonly done: number;
    }
  | { readonly event: "ready"; readonly job: string; readonly inputs: readonly string[]; readonly workers: number }
  | LogEvent
  | OutcomeEvent
  | RetryEvent
  | { readonly event: "trouble"; readonly severity: "WARNING"; readonly code: string; readonly message: string }
  | {
      readonly event: "fatal";
      readonly severity: "ERROR";
      readonly code: string;
      readonly message: string;
      readonly stack: string;
    }
  | { readonly event: "draining"; readonly job: string; readonly in_hand: number; readonly reason: string }
  | { readonly event: "metrics"; readonly severity: string; readonly metrics: readonly MetricTotal[] }
  | { readonly event: "in-flight"; readonly job: string; readonly messages: readonly InFlight[] }
  | { readonly event: "listening"; readonly job: string; readonly url: string }
  | {
      readonly event: "paused";
      readonly severity: "ERROR";
      readonly job: string;
      readonly failed: number;
      readonly message: string;
    }
  | { readonly event: "resumed"; readonly job: string }
  | SummaryEvent
  | { readonly event: "reloaded"; readonly job: string; readonly directory: string }
  | {
      readonly event: "reload-failed";
      readonly severity: "ERROR";
      readonly job: string;
      readonly directory: string;
      readonly code: string;
      readonly message: string;
      readonly stack: string;
    }
  | {
      readonly event: "stopped";
      readonly job: string;
      readonly done: number;
      readonly given_back: number;
      readonly batch: boolean;
    };

export interface LogEvent {
  readonly event: "log";
  readonly severity: string;
  readonly message: string;
  readonly job: string;
  /** Absent for what user code prints by itself. */
  readonly node?: string;
  readonly element?: string;
  readonly message_id?: string;
  readonly klio_id?: string;
  /** Which start of user code for this message in this process; 1 for the first. */
  readonly attempt?: number;
  readonly worker?: number;
  readonly fields?: unknown;
  /** The stack of what ended a message, which its outcome tells of too. */
  readonly of_dead_letter?: true;
}

export interface OutcomeEvent {
  readonly event: "outcome";
  readonly severity: "INFO" | "ERROR";
  readonly job: string;
  readonly outcome: OutcomeName;
  readonly element: string;
  readonly message_id: string;
  /** Name of the event input it came from. */
  readonly input: string;
  readonly klio_id: string;
  /** Starts of user code for this message in this process. */
  readonly attempts: number;
  /** Attempts that counted against it. */
  readonly charged: number;
  /** From its receipt to its acknowledgement. */
  readonly duration_ms: number;
  readonly objects: readonly { readonly uri: string; readonly write: string; readonly size: number }[];
  /** Output messages published and confirmed. */
  readonly messages: number;
  readonly reason?: string;
  readonly code?: string;
  readonly node?: string;
  /** Where its dead letter went: a topic, or the file it will be in. */
  readonly dead_letter?: string;
  /** Of what user code threw. */
  readonly stack?: string;
}

/** The end of a batch run. */
export interface SummaryEvent {
  readonly event: "summary";
  readonly severity: "INFO" | "WARNING";
  readonly job: string;
  /** Whether every element came to its end; else running the job again goes on where it stopped. */
  readonly complete: boolean;
  readonly elements: number;
  /** How many elements came to which end, in this and in interrupted runs before. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Elements that failed, where dead letters are `none`. */
  readonly failed: number;
  /** Elements that were done before this process began. */
  readonly resumed: number;
  readonly duration_ms: number;
  /** Text files that were written. */
  readonly files: readonly string[];
  /** The file of dead letters, when there are any and they go to a file. */
  readonly dead_letters?: string;
}

export interface RetryEvent {
  readonly event: "retry";
  readonly severity: "WARNING";
  readonly job: string;
  readonly element: string;
  readonly message_id: string;
  /** Attempts that counted against it so far. */
  readonly charged: number;
  /** This one does not count. */
  readonly uncharged?: true;
  readonly attempts: number;
  readonly delay_ms: number;
  readonly reason: string;
  readonly code: string;
  readonly node: string;
  readonly stack: string;
}

export type Emit = (event: RuntimeEvent) => void;

/** The events of one turn of the event loop are written at its end, together. */
export function emitTo(stream: NodeJS.WritableStream): Emit {
  let lines = "";
  const flush = () => {
    if (lines !== "") stream.write(lines);
    lines = "";
  };
  process.once("exit", flush);
  return (event) => {
    if (lines === "") setImmediate(flush);
    lines += `{"time":"${new Date().toISOString()}",${jsonLine(event).slice(1)}`;
  };
}
