import type { Duration } from "../api/duration.js";
import type { MetricReport } from "../api/metrics.js";
import type { UploadedObject } from "../api/uploaded-object.js";
import type { LogEntry } from "../engine/sink.js";
import type { OutcomeName } from "../supervisor/outcome-name.js";
import type { Status } from "../supervisor/status.js";
import type { Described } from "./described.js";

/** A KlioMessage of version 2, for everyone. */
export interface TestMessage {
  /** Name of the event input it comes from. Default: the first. */
  readonly input?: string;
  readonly element: string;
  /** Default: empty. */
  readonly payload?: Uint8Array | string;
  /** Recompute although the output exists. */
  readonly force?: boolean;
  /** Pass through without being processed. */
  readonly ping?: boolean;
  /** Its stable id. Default: `test-1`, `test-2`, … A message with the id of another is a repetition of that. */
  readonly klioId?: string;
  readonly orderingKey?: string;
}

/** A message as bytes, which may be no KlioMessage at all. */
export interface RawTestMessage {
  /** Name of the event input it comes from. Default: the first. */
  readonly input?: string;
  readonly data: Uint8Array;
  readonly attributes?: Readonly<Record<string, string>>;
}

/** An object that user code uploaded, adopted or found, and its bytes when the attempt ended. */
export interface TestedObject extends UploadedObject {
  /** Name below the data output's location. */
  readonly name: string;
  readonly data: Uint8Array;
}

/** A message to a parent job. */
export interface UpstreamMessage extends Described {
  /** Name of that job. */
  readonly parent: string;
}

/** What became of one message. */
export interface TestResult {
  readonly outcome: OutcomeName;
  /** Why it was skipped, passed through, or failed; empty otherwise. */
  readonly reason: string;
  /** What user code threw in the last attempt, when that failed. */
  readonly error:
    | { readonly message: string; readonly code: string; readonly stack: string; readonly permanent: boolean }
    | undefined;
  /** Attempts, charged or not; 0 when no worker was asked. */
  readonly attempts: number;
  /** Attempts that counted against it. */
  readonly charged: number;
  /** False when it was given back. */
  readonly acknowledged: boolean;
  /** Output messages. */
  readonly messages: readonly Described[];
  /** Messages that ask the parents for its missing input, one for each. */
  readonly upstream: readonly UpstreamMessage[];
  /** Its dead letter: the message's own bytes, and why it ended as attributes. */
  readonly deadLetter: { readonly data: Uint8Array; readonly attributes: Readonly<Record<string, string>> } | undefined;
  /** Of the attempt that ended it, in the order of their uploads; none when it failed. */
  readonly objects: readonly TestedObject[];
  /** Of all attempts. */
  readonly logs: readonly LogEntry[];
  /** Of all attempts, as they were reported. */
  readonly metrics: readonly MetricReport[];
}

/** A job under test. */
export interface TestJob {
  /**
   * Sends one message through the job and tells what became of it. Never rejects for what user code throws; rejects when the job
   * cannot run, with what its `setup` threw, or what is wrong with its graph or configuration. Waits for as long as the message
   * waits for a time that has not come. Once the job stops, a message is given back.
   */
  send(message: string | TestMessage | RawTestMessage): Promise<TestResult>;
  /** Puts an object into the data input, or takes one away. */
  putInput(name: string, data: Uint8Array | string): void;
  removeInput(name: string): void;
  /** The bytes of an object of the data output; undefined when there is none. */
  output(name: string): Uint8Array | undefined;
  /** Time stands still but for delays before another try or attempt, over which it jumps, unless that took the time of a call that is running; `advance` moves it. */
  readonly clock: {
    /** Milliseconds since the epoch. */
    now(): number;
    /** Wakes whoever waits for a time that is over then, in the order of time. */
    advance(by: Duration): Promise<void>;
  };
  /** What `/readyz` would say. */
  status(): Status;
  /** Stops the job as SIGTERM does: what is in hand is finished, or given back after `advance("30s")`. Runs `teardown`. */
  stop(): Promise<void>;
}
