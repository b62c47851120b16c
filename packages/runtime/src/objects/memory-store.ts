import { writeFile } from "node:fs/promises";
import type { Readable } from "node:stream";
import { InputNotFoundError } from "../api/errors.js";
import type { UploadSource } from "../api/context.js";
import { streamOf } from "./chunk-stream.js";
import { Crc32c, crc32cText } from "./crc32c.js";
import { bytesOf } from "./source.js";
import {
  GenerationMismatchError,
  type ObjectPath,
  type ObjectState,
  type ObjectStore,
  type ReadOptions,
  uriOf,
  type WriteOptions,
  type Written,
} from "./store.js";

interface Stored extends ObjectState {
  readonly data: Uint8Array;
  readonly contentType: string;
}

const never = new AbortController().signal;

/** Objects in memory, for tests of jobs. */
export class MemoryStore implements ObjectStore {
  readonly objects = new Map<string, Stored>();
  #lastGeneration = 0;

  put(path: ObjectPath, data: Uint8Array): void {
    this.#set(path, { data: Buffer.from(data), by: [], contentType: "application/octet-stream" });
  }

  async stat(path: ObjectPath, signal: AbortSignal = never): Promise<ObjectState | undefined> {
    signal.throwIfAborted();
    return Promise.resolve(this.objects.get(uriOf(path)));
  }

  async read(path: ObjectPath, signal: AbortSignal = never, options: ReadOptions = {}): Promise<Uint8Array> {
    signal.throwIfAborted();
    const data = Buffer.from(this.#get(path).data);
    options.arrived?.(data.length);
    return Promise.resolve(data);
  }

  async open(path: ObjectPath, signal: AbortSignal, options: ReadOptions = {}): Promise<Readable> {
    const data = await this.read(path, signal);
    const chunks = async function* () {
      options.arrived?.(data.length);
      yield await Promise.resolve(data);
    };
    return streamOf({ chunks, close: () => undefined }, signal);
  }

  async download(path: ObjectPath, file: string, signal: AbortSignal, options: ReadOptions = {}): Promise<void> {
    await writeFile(file, await this.read(path, signal, options), { flag: "wx", signal });
  }

  async write(path: ObjectPath, source: UploadSource, options: WriteOptions, signal: AbortSignal): Promise<Written> {
    const data = await bytesOf(source, signal);
    const current = this.objects.get(uriOf(path))?.generation ?? "0";
    if (current !== options.ifGenerationMatch) throw new GenerationMismatchError(uriOf(path));
    const generation = this.#set(path, { data, by: options.by, contentType: options.contentType });
    return { generation, size: data.length };
  }

  #get(path: ObjectPath): Stored {
    const found = this.objects.get(uriOf(path));
    if (found === undefined) throw new InputNotFoundError(uriOf(path));
    return found;
  }

  #set(path: ObjectPath, object: Pick<Stored, "data" | "by" | "contentType">): string {
    this.#lastGeneration += 1;
    const generation = String(this.#lastGeneration);
    const { length } = object.data;
    const crc32c = crc32cText(new Crc32c().update(object.data).value);
    this.objects.set(uriOf(path), { ...object, generation, size: length, crc32c });
    return generation;
  }
}
