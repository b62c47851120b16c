import { Readable } from "node:stream";
import { InputNotFoundError } from "../api/errors.js";
import { bytesOf } from "./source.js";
import {
  GenerationMismatchError,
  type ObjectPath,
  type ObjectState,
  type ObjectStore,
  uriOf,
  type WriteOptions,
  type Written,
} from "./store.js";

interface Stored extends ObjectState {
  readonly data: Uint8Array;
  readonly contentType: string;
}

/** Objects in memory, for tests of jobs. */
export class MemoryStore implements ObjectStore {
  readonly objects = new Map<string, Stored>();
  #lastGeneration = 0;

  put(path: ObjectPath, data: Uint8Array): void {
    this.#set(path, { data, by: [], contentType: "application/octet-stream" });
  }

  stat(path: ObjectPath): Promise<ObjectState | undefined> {
    return Promise.resolve(this.objects.get(uriOf(path)));
  }

  read(path: ObjectPath): Promise<Uint8Array> {
    const found = this.objects.get(uriOf(path));
    return found === undefined ? Promise.reject(new InputNotFoundError(uriOf(path))) : Promise.resolve(found.data);
  }

  async open(path: ObjectPath): Promise<Readable> {
    return Readable.from([await this.read(path)]);
  }

  async write(path: ObjectPath, source: UploadSourceLike, options: WriteOptions): Promise<Written> {
    const data = await bytesOf(source);
    const current = this.objects.get(uriOf(path))?.generation ?? "0";
    if (current !== options.ifGenerationMatch) throw new GenerationMismatchError(uriOf(path));
    const generation = this.#set(path, { data, by: options.by, contentType: options.contentType });
    return { generation, size: data.length };
  }

  #set(path: ObjectPath, object: Omit<Stored, "generation">): string {
    this.#lastGeneration += 1;
    const generation = String(this.#lastGeneration);
    this.objects.set(uriOf(path), { ...object, generation });
    return generation;
  }
}

type UploadSourceLike = Parameters<ObjectStore["write"]>[1];
