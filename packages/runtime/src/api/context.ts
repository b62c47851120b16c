import type { Readable } from "node:stream";
import type { EffectiveConfig } from "@klio/config/effective";
import type { ExecOptions, ExecResult } from "./exec.js";
import type { Item } from "./item.js";
import type { Metrics } from "./metrics.js";
import type { UploadedObject } from "./uploaded-object.js";

/**
 * What a transform is given besides the item. Its parts may be taken out (`const { read, upload } = ctx`); a copy (`{ ...ctx }`) has
 * not all of them.
 */
export interface Context<State = undefined> {
  /** What this transform's `setup` returned in this worker. */
  readonly state: State;
  /** The effective configuration of the job. */
  readonly config: EffectiveConfig;
  /** Writes log entries that carry job, node, element, message id and attempt (docs/guide/metrics.md). */
  readonly logger: Logger;
  /** Figures of the job's own, e.g. `ctx.metrics.counter("frames").inc()`. */
  readonly metrics: Metrics;
  /** Aborts when the work has become pointless: its time is up, the lease is lost, the grace period is over. */
  readonly signal: AbortSignal;
  /** True once the worker is to end (the job stops, or its code was replaced): finish what is in hand, begin nothing long. */
  readonly draining: boolean;
  /** 1 for the first start of user code for this message in this process; tries of `retry` do not count. */
  readonly attempt: number;
  /** The stable id of the message: attribute `klio-id`, else its id in Pub/Sub. At most 64 characters. */
  readonly klioId: string;

  /**
   * The whole input object of an item: location of the data input, slash, element, suffix. An object of Cloud Storage is checked
   * against its checksum. Throws {@link InputNotFoundError}, a {@link PermanentError} (`ILLEGAL_OBJECT_NAME`) when the element
   * makes no legal name, an Error when the job has no data input, and the reason why the attempt as a whole was aborted.
   */
  read(item: Item<unknown>): Promise<Uint8Array>;
  /** The input object as a stream, which ends with an error if the checksum is wrong. Throws what `read` throws. */
  open(item: Item<unknown>): Promise<Readable>;
  /** The absolute path of a copy of the input object, with its extension; removed when the message is done. Throws what `read` throws. */
  file(item: Item<unknown>): Promise<string>;
  /**
   * The absolute path of a folder for temporary files of this message; removed, with what is in it, when the message is done. Throws
   * the reason of `ctx.signal`, and an Error when the call is over.
   */
  folder(): Promise<string>;
  /**
   * Writes an output object, whole or not at all, once for each message however often it is delivered.
   * Its name is the data output's location, slash, element, suffix. Throws a {@link PermanentError} when the message has written
   * that object already (`DUPLICATE_OUTPUT`) or when the name is not legal (`ILLEGAL_OBJECT_NAME`), an Error when the job has no
   * data output, a TypeError when the stream gives anything but bytes and text, and the reason of `ctx.signal`. The stream is
   * destroyed then. An error that nobody asks for fails the attempt. When another request wrote the object meanwhile the attempt is
   * void, whatever user code makes of the error, and another one begins; nothing is charged.
   */
  upload(item: Item<unknown>, data: UploadSource, options?: UploadOptions): Promise<UploadedObject>;
  /**
   * Runs a program, without a shell, and gives its output. It dies with the call: when that ends or is tried again, on `ctx.signal`,
   * and with the worker (docs/guide/utilities.md says what cannot be promised).
   * Throws an {@link ExecError} when it fails, cannot be started, or puts out more than `maxBytes`, and the reason of `ctx.signal`.
   */
  exec(command: string, args?: readonly string[], options?: ExecOptions): Promise<ExecResult>;
  /** Like `exec`, and gives what the program puts out while it does; the stream ends with an {@link ExecError} when it fails. */
  execStream(command: string, args?: readonly string[], options?: Omit<ExecOptions, "maxBytes">): Readable;
}

/** Bytes, text (UTF-8), or a stream of them. */
export type UploadSource = Uint8Array | string | AsyncIterable<Uint8Array | string>;

export interface UploadOptions {
  /** Added to the element. Default: `file_suffix` of the data output. */
  readonly suffix?: string;
  /** Default: `application/octet-stream`. */
  readonly contentType?: string;
}

/** `fields` are anything that JSON carries; they stand in the entry below `fields`. Long entries are cut at 65,536 characters. */
export interface Logger {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}
