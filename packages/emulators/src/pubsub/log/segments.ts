import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  fsyncSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

/** A stretch of a log, written at its end only. */
export interface Segment {
  /** The position of its first byte in the log. */
  readonly base: number;
  /** Bytes. */
  readonly size: number;
  /** Throws when it could not be written whole; nothing is kept of it then. */
  append(bytes: Uint8Array): void;
  /** What there is of `length` bytes from `offset` on. */
  read(offset: number, length: number): Buffer;
  /** Drops everything from `size` on; `keep` puts it beside, for a person to look at. */
  cut(size: number, keep: boolean): void;
  /** Waits until the disk has what was appended. */
  sync(): void;
  close(): void;
  remove(): void;
}

/** Where the segments of one log are kept. */
export interface SegmentStore {
  /** Whether what is written has to be on the disk itself. */
  readonly onDisk: boolean;
  /** How large a segment is to grow before the next one begins, in bytes. */
  readonly segmentBytes: number;
  /** The segments that are there, by position. */
  open(): Segment[];
  create(base: number): Segment;
  /** Removes what is left once every segment is gone. */
  remove(): void;
}

const suffix = ".log";

export class FileSegments implements SegmentStore {
  /** `onDisk`: a segment is not begun before the disk knows of it; waiting for a busy disk may take seconds. */
  constructor(
    readonly directory: string,
    readonly onDisk: boolean,
    readonly segmentBytes = 64 * 1024 * 1024,
  ) {}

  open(): Segment[] {
    mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    return readdirSync(this.directory)
      .filter((name) => /^\d{16}\.log$/.test(name))
      .sort()
      .map((name) => new FileSegment(join(this.directory, name), Number(name.slice(0, -suffix.length))));
  }

  create(base: number): Segment {
    const segment = new FileSegment(join(this.directory, `${String(base).padStart(16, "0")}${suffix}`), base);
    if (this.onDisk) syncDirectory(this.directory);
    return segment;
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Waits until the disk knows of files that were made or renamed in a directory. */
export function syncDirectory(path: string): void {
  const directory = openSync(path, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/** A file that is written at its end only, by itself. */
export function openFileSegment(path: string): Segment {
  return new FileSegment(path, 0);
}

class FileSegment implements Segment {
  readonly #file: number;
  #size: number;

  constructor(
    readonly path: string,
    readonly base: number,
  ) {
    this.#file = openSync(path, "a+", 0o600);
    this.#size = fstatSync(this.#file).size;
  }

  get size(): number {
    return this.#size;
  }

  append(bytes: Uint8Array): void {
    try {
      for (let written = 0; written < bytes.length;) {
        written += writeSync(this.#file, bytes, written, bytes.length - written);
      }
    } catch (error) {
      ftruncateSync(this.#file, this.#size); // a disk that is full took a part of it
      throw error;
    }
    this.#size += bytes.length;
  }

  read(offset: number, length: number): Buffer {
    const buffer = Buffer.allocUnsafeSlow(Math.max(0, Math.min(length, this.#size - offset)));
    let filled = 0;
    while (filled < buffer.length) {
      const count = readSync(this.#file, buffer, filled, buffer.length - filled, offset + filled);
      if (count === 0) break;
      filled += count;
    }
    return buffer.subarray(0, filled);
  }

  cut(size: number, keep: boolean): void {
    if (keep) writeFileSync(`${this.path}.damaged`, this.read(size, this.#size - size), { mode: 0o600 });
    ftruncateSync(this.#file, size);
    this.#size = size;
  }

  sync(): void {
    fdatasyncSync(this.#file);
  }

  close(): void {
    closeSync(this.#file);
  }

  remove(): void {
    closeSync(this.#file);
    rmSync(this.path, { force: true });
  }
}

/** Segments that end with their process. */
export class MemorySegments implements SegmentStore {
  readonly onDisk = false;
  readonly segmentBytes = 1024 * 1024;
  readonly #segments = new Set<Segment>();

  open(): Segment[] {
    return [...this.#segments];
  }

  create(base: number): Segment {
    const segment = new MemorySegment(base, () => this.#segments.delete(segment));
    this.#segments.add(segment);
    return segment;
  }

  remove(): void {
    this.#segments.clear();
  }
}

/** Memory that is written at its end only, by itself. */
export function memorySegment(): Segment {
  return new MemorySegment(0, () => undefined);
}

class MemorySegment implements Segment {
  #buffer = Buffer.alloc(0);
  #size = 0;

  constructor(
    readonly base: number,
    readonly remove: () => void,
  ) {}

  get size(): number {
    return this.#size;
  }

  append(bytes: Uint8Array): void {
    const needed = this.#size + bytes.length;
    if (needed > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#buffer.length, 4_096));
      this.#buffer.copy(grown, 0, 0, this.#size);
      this.#buffer = grown;
    }
    this.#buffer.set(bytes, this.#size);
    this.#size = needed;
  }

  read(offset: number, length: number): Buffer {
    // What was written is never changed, so a view will do.
    return this.#buffer.subarray(offset, Math.min(offset + length, this.#size));
  }

  cut(size: number): void {
    this.#size = size;
  }

  sync(): void {
    // There is no disk.
  }

  close(): void {
    // It may be opened again, after a restart without an end of the process.
  }
}
