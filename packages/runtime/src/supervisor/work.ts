import type { KlioMessage } from "../message/index.js";
import type { DeadLetterRecord } from "../batch/records.js";
import type { TraceContext } from "../engine/tracing.js";
import type { Delivery, Lease } from "./source.js";

/** One message in hand: from its receipt until it is acknowledged or given back. */
export interface Work {
  /** Unique in this process; what workers know it by. */
  readonly id: bigint;
  readonly delivery: Delivery;
  /** More than one when the service delivered the message again meanwhile. */
  readonly leases: Lease[];
  readonly klioId: string;
  /**
   * What tells it from all other messages of the broker, those that carry the same `klio-id` included. A broker that starts afresh
   * may count its ids from 1 again; a message's time tells it from its namesake.
   */
  readonly delivered: string;
  /** What the list of completed messages knows it by. */
  readonly identity: string;
  readonly element: string;
  readonly message: KlioMessage;
  /** Milliseconds since the epoch. */
  readonly receivedAt: number;
  /** When its last attempt began; milliseconds since the epoch. */
  startedAt: number;
  /** Starts of user code. */
  starts: number;
  /** Attempts that count against it. */
  charged: number;
  /** Decisions made afresh because somebody else wrote the output. */
  overtaken: number;
  /** Attempts that failed for a reason that is not the message's, e.g. storage that does not answer. */
  postponed: number;
  /** The trace it belongs to. */
  readonly trace: TraceContext | undefined;
  /** The node whose user code it is in. */
  node: string | undefined;
  /** Its output messages, or its dead letter, are on their way. */
  publishing: boolean;
  /** It was in a worker that died: it runs in quarantine, with nothing beside it. */
  alone: boolean;
  /** Lines for file outputs. */
  lines: (readonly [output: string, line: string])[];
  /** Its dead letter, when that goes to a file. */
  deadLetter: DeadLetterRecord | undefined;
}
