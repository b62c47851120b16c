import type { ConnectError } from "@connectrpc/connect";
import type { LogRecord } from "../log/message-log.js";

/** A message that was handed out at least once and is not acknowledged. Its bytes stay in the log. */
export interface Entry {
  readonly position: number;
  /** Bytes that it takes in the log. */
  readonly bytes: number;
  readonly orderingKey: string;
  /** Milliseconds since the epoch. */
  readonly publishTime: number;
  /** How often it was handed out. */
  attempts: number;
  /** Who has it now: one lease, or two when a fault made a duplicate of it. */
  readonly leases: Set<Lease>;
  /** Acknowledged, but an earlier message of its ordering key is not: it would be delivered again with that one. */
  acknowledged: boolean;
}

/** The right of one consumer to a message, until the deadline. */
export interface Lease {
  readonly number: number;
  readonly entry: Entry;
  readonly consumer: Consumer;
  /** A fault: it cannot be prolonged. */
  readonly doomed: boolean;
}

export interface Delivery {
  readonly ackId: string;
  readonly lease: Lease;
  readonly record: LogRecord;
  /** 0 when the subscription has no dead-letter policy. */
  readonly attempt: number;
}

/** Somebody who receives: a streaming pull, a pull, a push endpoint. */
export interface Consumer {
  /** Seconds that a message is leased for. */
  readonly ackDeadlineSeconds: number;
  /** It cannot keep an order: of an ordering key it gets one message at a time. */
  readonly oneByOne?: boolean;
  /** It leaves in a moment with what there is: it is not kept waiting. */
  readonly hurried?: boolean;
  /** Whether a message of this many bytes may be sent now. */
  hasRoom(bytes: number): boolean;
  send(delivery: Delivery): void;
  /** The lease is over (acknowledged, given back, expired): its room is free again. */
  released(lease: Lease): void;
  /** Nothing comes any more, because of `reason`. */
  end(reason: ConnectError): void;
}

export function entryOf(record: LogRecord): Entry {
  return {
    position: record.position,
    bytes: record.next - record.position,
    orderingKey: record.orderingKey,
    publishTime: record.publishTime,
    attempts: 0,
    leases: new Set(),
    acknowledged: false,
  };
}
