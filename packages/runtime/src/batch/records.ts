import type { FileInput, FileOutput } from "@klio/config/effective";

// What the supervisor and the process that reads and writes event files tell each other, through files in the run's folder and
// one line of JSON each way.

/** A line of `elements.ndjson`: one element of an event file. */
export interface ElementRecord {
  /** Name of the event input. */
  readonly input: string;
  /** Position in {@link Gathered.files}. */
  readonly file: number;
  /** From 1, header lines counted. */
  readonly line: number;
  /** The line, when it is UTF-8. */
  readonly element?: string;
  /** The line as base64, when it is not. */
  readonly bytes?: string;
}

/** A line of `journal.ndjson`: an element that is done. */
export interface DoneRecord {
  /** Position of the element, from 0. */
  readonly n: number;
  readonly outcome: string;
  /** Lines for file outputs, each with the output's name. */
  readonly lines?: readonly (readonly [output: string, line: string])[];
  /** Why it ended as a dead letter. */
  readonly dead?: DeadLetterRecord;
}

/** A line of a file of dead letters. */
export interface DeadLetterRecord {
  /** Empty when the line was no element. */
  readonly element: string;
  /** `file:line`. */
  readonly place: string;
  readonly reason: string;
  readonly code: string;
  readonly node: string;
  readonly attempts: number;
  readonly klio_id: string;
  /** The line as base64, when it was no element. */
  readonly bytes?: string;
}

export interface GatherRequest {
  readonly command: "gather";
  readonly project: string;
  readonly inputs: readonly FileInput[];
  /** Where the elements are written to. */
  readonly elements: string;
}

export interface Gathered {
  readonly files: readonly string[];
  readonly total: number;
  /** Empty lines, which are no elements. */
  readonly blank: number;
  /** SHA-256 of the elements and their places. */
  readonly digest: string;
}

export interface DeliverRequest {
  readonly command: "deliver";
  readonly project: string;
  readonly outputs: readonly FileOutput[];
  readonly journal: string;
  /** How many elements the run has. */
  readonly elements: number;
  /** A file for dead letters; absent when they go elsewhere. */
  readonly deadLetters?: string;
}

export interface Delivered {
  /** Names of the files written. */
  readonly files: readonly string[];
  /** The file of dead letters, when there are any. */
  readonly deadLetters?: string;
}

export type EventFilesAnswer<T> =
  { readonly ok: T } | { readonly error: { readonly code: string; readonly message: string } };
