import { isAbsolute } from "node:path";
import type { Readable } from "node:stream";
import type { UploadSource } from "../api/context.js";
import type { ObjectPath, ObjectState, ObjectStore, ReadOptions, WriteOptions, Written } from "./store.js";

/** Files for paths in folders, Cloud Storage for the others; each is made when it is first needed. */
export class RoutedStore implements ObjectStore {
  #files: ObjectStore | undefined;
  #buckets: ObjectStore | undefined;

  constructor(
    readonly makeFiles: () => ObjectStore,
    readonly makeBuckets: () => ObjectStore,
  ) {}

  stat(path: ObjectPath, signal: AbortSignal): Promise<ObjectState | undefined> {
    return this.#of(path).stat(path, signal);
  }

  read(path: ObjectPath, signal: AbortSignal, options?: ReadOptions): Promise<Uint8Array> {
    return this.#of(path).read(path, signal, options);
  }

  open(path: ObjectPath, signal: AbortSignal, options?: ReadOptions): Promise<Readable> {
    return this.#of(path).open(path, signal, options);
  }

  download(path: ObjectPath, file: string, signal: AbortSignal, options?: ReadOptions): Promise<void> {
    return this.#of(path).download(path, file, signal, options);
  }

  write(path: ObjectPath, data: UploadSource, options: WriteOptions, signal: AbortSignal): Promise<Written> {
    return this.#of(path).write(path, data, options, signal);
  }

  #of(path: ObjectPath): ObjectStore {
    if (isAbsolute(path.bucket)) return (this.#files ??= this.makeFiles());
    return (this.#buckets ??= this.makeBuckets());
  }
}
