import { closeSync, constants, createReadStream, fstatSync, openSync, read, type ReadStream, readSync } from "node:fs";
import type { Writable } from "node:stream";
import { promisify } from "node:util";
import { keyOf } from "./files.js";

/** Bytes that are read of a large file at a time. */
const readSize = 512 * 1024;
const readLater = promisify(read);

/** When the bytes are with the operating system, and their buffer is free. */
function writeTo(target: Writable, bytes: Buffer, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    // An answer that waits for others of its connection is never told of its end.
    const broken = () => {
      reject(new Error("the connection broke"));
    };
    if (signal.aborted) broken();
    signal.addEventListener("abort", broken, { once: true });
    target.write(bytes, (error) => {
      signal.removeEventListener("abort", broken);
      if (error) reject(error);
      else resolve();
    });
  });
}

/** A file that is read. Who opened it reads it once, by one of `read`, `sendTo`, `stream` and `bytes`, or closes it. */
export class OpenFile {
  #open = true;

  private constructor(readonly fd: number) {}

  /** Through no symbolic link. Undefined when the file is gone. */
  static at(path: string): OpenFile | undefined {
    try {
      return new OpenFile(openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP") return undefined;
      throw error;
    }
  }

  get key(): string {
    return keyOf(fstatSync(this.fd, { bigint: true }));
  }

  get mtime(): Date {
    return fstatSync(this.fd).mtime;
  }

  /** Whether it begins as gzip does (RFC 1952, 2.3.1). */
  isGzip(): boolean {
    const magic = Buffer.alloc(2);
    return readSync(this.fd, magic, 0, 2, 0) === 2 && magic.readUInt16BE() === 0x1f8b;
  }

  /** The bytes from `first` to `last`, at once. For few. */
  read(first: number, last: number): Buffer {
    const bytes = Buffer.allocUnsafe(Math.max(last - first + 1, 0));
    try {
      for (let at = 0; at < bytes.length;) {
        const read = readSync(this.fd, bytes, at, bytes.length - at, first + at);
        if (read === 0) throw new Error("the file was cut while it was sent");
        at += read;
      }
      return bytes;
    } finally {
      this.close();
    }
  }

  /** The bytes from `first` to `last`. The stream closes the file at its end, or when it is destroyed. */
  stream(first: number, last: number): ReadStream {
    this.#open = false;
    return createReadStream("", { fd: this.fd, start: first, end: last, highWaterMark: readSize });
  }

  /** The bytes from `first` to before `end`. */
  async *bytes(first = 0, end = Infinity): AsyncGenerator<Buffer> {
    if (first >= end) {
      this.close();
      return;
    }
    yield* this.stream(first, end - 1) as AsyncIterable<Buffer>;
  }

  /**
   * Sends the bytes from `first` to `last` to a stream that stays open, by two buffers: while one is written, the other is filled.
   * Rejects when the stream breaks, or `signal` is aborted.
   */
  async sendTo(target: Writable, first: number, last: number, signal: AbortSignal): Promise<void> {
    const buffers = [Buffer.allocUnsafeSlow(readSize), Buffer.allocUnsafeSlow(readSize)];
    let written = Promise.resolve();
    try {
      for (let at = first, turn = 0; at <= last; turn = 1 - turn) {
        const buffer = buffers[turn] ?? Buffer.alloc(0);
        const { bytesRead } = await readLater(this.fd, buffer, 0, Math.min(readSize, last - at + 1), at);
        if (bytesRead === 0) throw new Error("the file was cut while it was sent");
        at += bytesRead;
        await written;
        written = writeTo(target, buffer.subarray(0, bytesRead), signal);
        written.catch(() => undefined); // awaited in the next turn
      }
      await written;
    } finally {
      this.close();
    }
  }

  /** Does nothing to one that was read. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.fd);
  }
}
