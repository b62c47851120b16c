import { randomUUID } from "node:crypto";
import { closeSync, openSync, statSync, write, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { Checksums, type Digests } from "./checksums.js";
import { keyOf } from "./files.js";
import { unlinkIfThere } from "./json-files.js";

const smallBytes = 1024 * 1024;
const writeLater = promisify(write);

/** Bytes on disk that are not yet an object. */
export interface Staged extends Digests {
  readonly path: string;
  readonly size: number;
  /** See `keyOf`. */
  readonly key: string;
}

/** A file in the staging area that bytes are added to, measured as they come. */
export class StagedFile {
  readonly path: string;
  readonly #checksums = new Checksums();
  #size = 0;

  constructor(folder: string) {
    this.path = join(folder, randomUUID());
  }

  /** Bytes written. */
  get size(): number {
    return this.#size;
  }

  /** Adds a stream's bytes, leaving out the first `skip`. What came before a break of the stream stays. */
  async append(source: AsyncIterable<Uint8Array>, skip = 0): Promise<void> {
    const file = openSync(this.path, this.#size === 0 ? "w" : "r+");
    let toSkip = skip;
    try {
      for await (const chunk of source) {
        const fresh = chunk.subarray(Math.min(toSkip, chunk.length));
        toSkip -= chunk.length - fresh.length;
        if (fresh.length > 0) await this.#write(file, fresh);
      }
    } finally {
      closeSync(file);
    }
  }

  /** Writes at a position: what a full disk took of a chunk that failed does not count. */
  async #write(file: number, chunk: Uint8Array): Promise<void> {
    const later = this.#size < smallBytes ? undefined : this.#writeLater(file, chunk);
    if (later === undefined) {
      for (let at = 0; at < chunk.length;) at += writeSync(file, chunk, at, chunk.length - at, this.#size + at);
    }
    // Meanwhile, as it takes about as long.
    this.#checksums.update(chunk);
    await later;
    this.#size += chunk.length;
  }

  /** A small object is written at once; a disk that is busy with a large one must not hold up others. */
  async #writeLater(file: number, chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length;) {
      at += (await writeLater(file, chunk, at, chunk.length - at, this.#size + at)).bytesWritten;
    }
  }

  /** What there is, at the end. */
  finish(): Staged {
    if (this.#size === 0) closeSync(openSync(this.path, "w"));
    const key = keyOf(statSync(this.path, { bigint: true }));
    return { path: this.path, size: this.#size, key, ...this.#checksums.digest() };
  }

  discard(): void {
    unlinkIfThere(this.path);
  }
}
