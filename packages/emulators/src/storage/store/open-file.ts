import { closeSync, constants, createReadStream, fstatSync, openSync, readSync, type ReadStream } from "node:fs";
import { keyOf } from "./files.js";

/** Bytes that are read of a large file at a time. */
const readSize = 1024 * 1024;

/** A file that is read. Who opened it reads it once, by one of `read`, `stream` and `bytes`, or closes it. */
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

  /** The bytes from `first` to `last`, at once. For few. */
  read(first: number, last: number): Buffer {
    const bytes = Buffer.allocUnsafe(Math.max(last - first + 1, 0));
    try {
      for (let at = 0; at < bytes.length;) {
        const read = readSync(this.fd, bytes, at, bytes.length - at, first + at);
        if (read === 0) return bytes.subarray(0, at); // somebody has cut the file
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

  /** Does nothing to one that was read. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.fd);
  }
}
