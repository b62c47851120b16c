import type { Subscription } from "../../../gen/google/pubsub/v1/pubsub_pb.js";
import type { PubSubFaults } from "../faults.js";
import type { Change } from "../log/journal.js";
import type { LogRecord } from "../log/message-log.js";
import type { PubSubEvent } from "../observe.js";

/** What a subscription needs of the emulator it is in. */
export interface Surroundings {
  /** Milliseconds since the epoch. */
  now(): number;
  readonly faults: PubSubFaults;
  /** Tells a person of what went wrong and cannot be told to a client. */
  warn(text: string): void;
  /** Writes down a change before it is confirmed. Throws RESOURCE_EXHAUSTED. */
  record(change: Change): void;
  /** Tells of a message; it is decoded only when somebody listens. */
  tell(kind: PubSubEvent["kind"], resource: string, message: Uint8Array | (() => LogRecord | undefined)): void;
  /** Sends a message to the subscription's dead-letter topic. False when that is not possible now. */
  deadLetter(subscription: Subscription, record: LogRecord, attempts: number): boolean;
}
