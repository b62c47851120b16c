import type { PubSubEvent, StorageEvent } from "@klio/emulators";

/** What a ledger is told: one JSON object a line, in the order in which things happened. */
export type NewEntry =
  BeginEntry | SentEntry | BrokerEntry | StorageEntry | JobEntry | WorkerEntry | ProcessEntry | FaultEntry;

/** `time` is in milliseconds since the epoch and only for people and for rates; what came first is told by the place. */
export type Entry = { readonly time: number } & NewEntry;

/** What the run is about: first in every ledger. Resources by their short names. */
export interface BeginEntry {
  readonly source: "begin";
  readonly job: string;
  readonly subscription: string;
  readonly outputTopic: string;
  readonly deadLetterTopic: string;
  readonly outputBucket: string;
  /** Charged attempts before a dead letter. */
  readonly attempts: number;
  readonly gracePeriodMs: number;
  /** What one supervisor may have outstanding. */
  readonly bound: { readonly messages: number; readonly bytes: number };
}

/** What became of a message that was published to the job's input, if all went as it must. */
export interface Expectation {
  /** Names of the objects it writes; with what they hold, where that is known. */
  readonly objects: readonly {
    readonly name: string;
    readonly size?: number;
    /** Base64, big-endian. */
    readonly crc32c?: string;
  }[];
  /** The `klio-id`s of its output messages. */
  readonly outputs: readonly string[];
  /** The `klio-id` of its output message when its object was there before. */
  readonly passThrough: string;
  /** It can never be processed; by what its attempts are known. */
  readonly poison?: "throws" | "dies";
  /** It is no KlioMessage, or of a kind that no attempt helps: a dead letter at once. */
  readonly hopeless?: true;
}

export interface SentEntry extends Expectation {
  readonly source: "sent";
  readonly messageId: string;
  readonly klioId: string;
  readonly element: string;
  readonly force: boolean;
}

/** What a broker did with a message. */
export type MessageEntry = Extract<BrokerEntry, { readonly messageId: string }>;

/** "start": a broker with no leases is there, for the first time or again. The other kinds are those of PubSubEvent. */
export type BrokerEntry =
  | { readonly source: "broker"; readonly kind: "start" }
  /** Resources by their short names. */
  | ({ readonly source: "broker" } & PubSubEvent);

export interface StorageEntry extends Omit<StorageEvent, "metadata"> {
  readonly source: "storage";
  /** Metadata `klio-by`: the requests that wrote it, newest first. */
  readonly by: readonly string[];
}

/** An event that the job printed. `life` counts the supervisors of a run from 1. */
export interface JobEntry {
  readonly source: "job";
  readonly life: number;
  readonly event: string;
  readonly [key: string]: unknown;
}

/** What user code wrote down itself. "throw": it is about to fail. */
export interface WorkerEntry {
  readonly source: "worker";
  readonly kind: "start" | "throw" | "die" | "mark";
  readonly klioId: string;
  readonly element: string;
  readonly pid: number;
  /** Process id of its supervisor. */
  readonly supervisor: number;
  readonly point?: string;
}

export type ProcessEntry =
  | { readonly source: "process"; readonly kind: "start"; readonly life: number; readonly pid: number }
  | {
      readonly source: "process";
      readonly kind: "signal";
      readonly life: number;
      readonly pid: number;
      readonly signal: string;
      readonly who: "supervisor" | "worker" | "tree";
      /** Where in a message's way, and which message. */
      readonly point?: string;
      readonly element?: string;
    }
  | {
      readonly source: "process";
      readonly kind: "exit";
      readonly life: number;
      readonly code: number | null;
      readonly signal: string | null;
    }
  | {
      /** What a supervisor that ended in order left behind. */
      readonly source: "process";
      readonly kind: "left";
      readonly life: number;
      readonly children: readonly number[];
      readonly ports: readonly number[];
      readonly temporary: readonly string[];
    };

export interface FaultEntry {
  readonly source: "fault";
  readonly of: "pubsub" | "storage";
  readonly fault: string;
}
