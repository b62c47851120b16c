import { randomUUID } from "node:crypto";
import { type FileHandle, open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Checksums, type Digests } from "./checksums.js";
import { keyOf } from "./files.js";

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
    const file = await open(this.path, this.#size === 0 ? "w" : "r+");
    let toSkip = skip;
    try {
      for await (const chunk of source) {
        const fresh = chunk.subarray(Math.min(toSkip, chunk.length));
        toSkip -= chunk.length - fresh.length;
        if (fresh.length > 0) await this.#write(file, fresh);
      }
    } finally {
      await file.close();
    }
  }

  /** Writes at a position: what a full disk took of a chunk that failed does not count. */
  async #write(file: FileHandle, chunk: Uint8Array): Promise<void> {
    let written = 0;
    while (written < chunk.length) {
      const rest = chunk.subarray(written);
      written += (await file.write(rest, 0, rest.length, this.#size + written)).bytesWritten;
    }
    this.#checksums.update(chunk);
    this.#size += chunk.length;
  }

  /** What there is, at the end. */
  async finish(): Promise<Staged> {
    if (this.#size === 0) await (await open(this.path, "w")).close();
    const key = keyOf(await stat(this.path, { bigint: true }));
    return { path: this.path, size: this.#size, key, ...this.#checksums.digest() };
  }

  async discard(): Promise<void> {
    await rm(this.path, { force: true });
  }
}
