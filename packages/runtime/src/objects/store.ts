import { isAbsolute, join } from "node:path";
import type { Readable } from "node:stream";
import type { UploadSource } from "../api/context.js";

/** An object's place: bucket and name; for files a folder's absolute path and the path below it. */
export interface ObjectPath {
  readonly bucket: string;
  readonly name: string;
}

/** What is known of an object without reading it. */
export interface ObjectState {
  readonly generation: string;
  /** The ids of the requests that wrote it, newest first (metadata `klio-by`). */
  readonly by: readonly string[];
  /** Bytes, as stored. */
  readonly size?: number;
  /** As Cloud Storage writes it: big-endian, base64. Absent for files. */
  readonly crc32c?: string;
}

export interface ReadOptions {
  /** What was found of the object before: this very generation is read, as long as it is there. */
  readonly known?: ObjectState | undefined;
  /** Called with the number of bytes that came, whenever some did; those that had to be fetched again count again. */
  readonly arrived?: (bytes: number) => void;
  /** Only for streams: an object that is stored compressed (content encoding `gzip`) is not unpacked. */
  readonly asStored?: boolean;
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

/**
 * Objects as the engine needs them. Every implementation passes the same conformance suite. Everything ends with an error soon
 * after `signal` aborts. Throws {@link StorageError} when the storage does not answer as it should, after a bounded number of tries.
 */
export interface ObjectStore {
  /** Undefined when the object does not exist. */
  stat(path: ObjectPath, signal: AbortSignal): Promise<ObjectState | undefined>;
  /** Throws InputNotFoundError, and a PermanentError (`OBJECT_TOO_LARGE`) where memory has no room for so many bytes. */
  read(path: ObjectPath, signal: AbortSignal, options?: ReadOptions): Promise<Uint8Array>;
  /** Throws InputNotFoundError. A stream that ends without an error gave every byte of the object. */
  open(path: ObjectPath, signal: AbortSignal, options?: ReadOptions): Promise<Readable>;
  /** Writes the object's bytes into a new file. Throws InputNotFoundError; the file may be there in part then. */
  download(path: ObjectPath, file: string, signal: AbortSignal, options?: ReadOptions): Promise<void>;
  /** Writes whole or not at all. Throws {@link GenerationMismatchError}, and what the source throws. */
  write(path: ObjectPath, data: UploadSource, options: WriteOptions, signal: AbortSignal): Promise<Written>;
}

/** The object has another generation than the one asked for (HTTP 412). */
export class GenerationMismatchError extends Error {
  override readonly name = "GenerationMismatchError";
}

export function uriOf(path: ObjectPath): string {
  return isAbsolute(path.bucket) ? join(path.bucket, path.name) : `gs://${path.bucket}/${path.name}`;
}
