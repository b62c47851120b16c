import { randomUUID } from "node:crypto";
import { closeSync, openSync, statSync, writeSync, writev } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { Checksums, type Digests } from "./checksums.js";
import { keyOf } from "./files.js";
import { unlinkIfThere } from "./json-files.js";

const smallBytes = 1024 * 1024;
/** Bytes that are written by one call of the thread pool. */
const batchBytes = 512 * 1024;
const writeMany = promisify(writev);

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
    const writer = new Writer(file, this.#size);
    let toSkip = skip;
    try {
      for await (const chunk of source) {
        const fresh = chunk.subarray(Math.min(toSkip, chunk.length));
        toSkip -= chunk.length - fresh.length;
        if (fresh.length === 0) continue;
        await writer.write(fresh);
        this.#checksums.update(fresh);
        this.#size += fresh.length;
      }
    } finally {
      await writer.end().finally(() => {
        closeSync(file);
      });
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

/**
 * Writes chunks one behind the other. The first ones, and so every small object, at once; those of a large object some at a time
 * by Node's thread pool, while the next ones come: a disk that is busy with it must not hold up others.
 */
class Writer {
  #waiting: Uint8Array[] = [];
  #bytes = 0;
  #running: Promise<void> | undefined;

  /** From `position` of the open file on. */
  constructor(
    readonly file: number,
    public position: number,
  ) {}

  async write(chunk: Uint8Array): Promise<void> {
    if (this.position < smallBytes) {
      for (let at = 0; at < chunk.length;) at += writeSync(this.file, chunk, at, chunk.length - at, this.position + at);
      this.position += chunk.length;
      return;
    }
    this.#waiting.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes >= batchBytes) await this.#flush();
  }

  /** When all is written. */
  async end(): Promise<void> {
    await this.#flush();
    await this.#running;
  }

  async #flush(): Promise<void> {
    await this.#running;
    const chunks = this.#waiting;
    const { position } = this;
    this.#waiting = [];
    this.position += this.#bytes;
    this.#bytes = 0;
    this.#running = this.#writeAll(chunks, position);
    this.#running.catch(() => undefined); // whoever comes next sees it
  }

  async #writeAll(chunks: readonly Uint8Array[], position: number): Promise<void> {
    let at = position;
    for (let rest = chunks; rest.length > 0;) {
      const { bytesWritten } = await writeMany(this.file, rest, at);
      at += bytesWritten;
      rest = behind(rest, bytesWritten);
    }
  }
}

/** What of these chunks is left behind so many bytes. */
function behind(chunks: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let skip = bytes;
  return chunks.flatMap((chunk) => {
    const rest = chunk.subarray(Math.min(skip, chunk.length));
    skip -= chunk.length - rest.length;
    return rest.length === 0 ? [] : [rest];
  });
}
