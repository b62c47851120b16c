import { isAbsolute, join } from "node:path";
import type { Readable } from "node:stream";
import type { UploadSource } from "../api/context.js";

/** An object's place: bucket and name; for files a folder's absolute path and the path below it. */
export interface ObjectPath {
  readonly bucket: string;
  readonly name: string;
}

/** What the upload rule needs to know of an object. */
export interface ObjectState {
  readonly generation: string;
  /** The ids of the requests that wrote it, newest first (metadata `klio-by`). */
  readonly by: readonly string[];
}

export interface WriteOptions {
  /** Generation the object must have; "0" when it must not exist. */
  readonly ifGenerationMatch: string;
  readonly by: readonly string[];
  readonly contentType: string;
}

export interface Written {
  readonly generation: string;
  /** Bytes. */
  readonly size: number;
}

/** Objects as the engine needs them. Every implementation passes the same conformance suite. */
export interface ObjectStore {
  /** Undefined when the object does not exist. */
  stat(path: ObjectPath): Promise<ObjectState | undefined>;
  /** Throws InputNotFoundError. */
  read(path: ObjectPath, signal: AbortSignal): Promise<Uint8Array>;
  /** Throws InputNotFoundError. */
  open(path: ObjectPath, signal: AbortSignal): Promise<Readable>;
  /** Writes whole or not at all. Throws {@link GenerationMismatchError}. */
  write(path: ObjectPath, data: UploadSource, options: WriteOptions, signal: AbortSignal): Promise<Written>;
}

/** The object has another generation than the one asked for (HTTP 412). */
export class GenerationMismatchError extends Error {
  override readonly name = "GenerationMismatchError";
}

export function uriOf(path: ObjectPath): string {
  return isAbsolute(path.bucket) ? join(path.bucket, path.name) : `gs://${path.bucket}/${path.name}`;
}
