import type { Readable } from "node:stream";
import type { EffectiveConfig } from "@klio/config/effective";
import type { ExecOptions, ExecResult } from "./exec.js";
import type { Item } from "./item.js";
import type { Metrics } from "./metrics.js";
import type { UploadedObject } from "./uploaded-object.js";

/** What a transform is given besides the item. */
export interface Context<State = undefined> {
  /** What this transform's `setup` returned in this worker. */
  readonly state: State;
  /** The effective configuration of the job. */
  readonly config: EffectiveConfig;
  /** Writes log entries that carry job, node, element, message id and attempt. */
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Aborts when the work has become pointless: its time is up, the lease is lost, the grace period is over. */
  readonly signal: AbortSignal;
  /** True once the job is stopping: finish what is in hand, begin nothing long. */
  readonly draining: boolean;
  /** 1 for the first start of user code for this message. */
  readonly attempt: number;
  /** The stable id of the message (attribute `klio-id`). */
  readonly klioId: string;

  /** The whole input object of an item, its checksum verified. Throws {@link InputNotFoundError}. */
  read(item: Item<unknown>): Promise<Uint8Array>;
  /** The input object as a stream, which ends with an error if the checksum is wrong. Throws {@link InputNotFoundError}. */
  open(item: Item<unknown>): Promise<Readable>;
  /** The path of a copy of the input object; removed when the message is done. Throws {@link InputNotFoundError}. */
  file(item: Item<unknown>): Promise<string>;
  /** A folder for temporary files of this message; removed when the message is done. */
  folder(): Promise<string>;
  /**
   * Writes an output object, whole or not at all, once for each message however often it is delivered.
   * Its name is the data output's location, the element, and the suffix.
   */
  upload(item: Item<unknown>, data: UploadSource, options?: UploadOptions): Promise<UploadedObject>;
  /**
   * Runs a program, without a shell, and gives its output. It dies with the call: on `ctx.signal`, and with the worker.
   * Throws an {@link ExecError} when it fails, cannot be started, or puts out more than `maxBytes`.
   */
  exec(command: string, args?: readonly string[], options?: ExecOptions): Promise<ExecResult>;
  /** Like `exec`, and gives what the program puts out while it does; the stream ends with an {@link ExecError} when it fails. */
  execStream(command: string, args?: readonly string[], options?: Omit<ExecOptions, "maxBytes">): Readable;
}

/** Bytes, text, or a stream of bytes. */
export type UploadSource = Uint8Array | string | AsyncIterable<Uint8Array>;

export interface UploadOptions {
  /** Added to the element. Default: `file_suffix` of the data output. */
  readonly suffix?: string;
  /** Default: `application/octet-stream`. */
  readonly contentType?: string;
}

export interface Logger {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}
