import type { DeadLetterRecord } from "../batch/records.js";

/** A message as it was received. */
export interface Delivery {
  readonly lease: Lease;
  /** Name of the event input it came from. */
  readonly input: string;
  readonly messageId: string;
  readonly data: Uint8Array;
  readonly attributes: Readonly<Record<string, string>>;
  readonly orderingKey: string;
  /** Milliseconds since the epoch. */
  readonly publishTime: number;
}

/** The right to work on a message, which holds until it is given up or lost. */
export interface Lease {
  readonly source: Source;
  readonly ackId: string;
  /** Until when the service has confirmed it; milliseconds since the epoch. */
  confirmedUntil: number;
  lost: boolean;
}

/** How a message came to its end. */
export interface End {
  readonly outcome: string;
  /** Lines for file outputs. */
  readonly lines: readonly (readonly [output: string, line: string])[];
  /** Its dead letter, when that goes to a file. */
  readonly deadLetter: DeadLetterRecord | undefined;
}

/** Where messages come from. */
export interface Source {
  start(): void;
  /** Asks for nothing more until it may go on; what is on its way still comes. Leases go on. */
  pause(): void;
  resume(): void;
  /** Asks for nothing more, and resolves when nothing more is delivered. Leases go on until they are given up. */
  stopPulling(): Promise<void>;
  close(): Promise<void> | void;
  /** Resolves when the message is known to be done, or cannot be: then it comes again. */
  acknowledge(lease: Lease, end: End): Promise<void>;
  /** Gives a message back: it is delivered again. */
  giveBack(lease: Lease): Promise<void>;
  /** Gives up a lease without a word: the message is delivered again some time. */
  letGo(lease: Lease): void;
}
