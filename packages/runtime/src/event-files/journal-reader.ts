import { type FileHandle, open } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { DoneRecord } from "../batch/records.js";

const windowBytes = 1024 * 1024;

/** A finished run's journal, read in the order of the elements. */
export class JournalReader {
  /** Lines of each output. */
  readonly lines = new Map<string, number>();
  /** Records with a dead letter. */
  dead = 0;
  /** Where the record of each element lies: offset and length. */
  readonly #offsets: Float64Array;
  readonly #lengths: Uint32Array;
  /** A part of the journal; its records are nearly in order, so the next one mostly lies in it. */
  #window = { at: 0, bytes: Buffer.alloc(0) };

  private constructor(
    readonly file: FileHandle,
    elements: number,
  ) {
    this.#offsets = new Float64Array(elements);
    this.#lengths = new Uint32Array(elements);
  }

  static async open(path: string, elements: number): Promise<JournalReader> {
    const reader = new JournalReader(await open(path, "r"), elements);
    let offset = 0;
    const source = reader.file.createReadStream({ start: 0, autoClose: false });
    for await (const text of createInterface({ input: source, crlfDelay: Infinity })) {
      const length = Buffer.byteLength(text);
      reader.#note(JSON.parse(text) as DoneRecord, offset, length);
      offset += length + 1;
    }
    return reader;
  }

  async *records(): AsyncGenerator<DoneRecord> {
    for (const [n, length] of this.#lengths.entries()) {
      if (length === 0) continue;
      yield JSON.parse((await this.#read(this.#offsets[n] ?? 0, length)).toString()) as DoneRecord;
    }
  }

  close(): Promise<void> {
    return this.file.close();
  }

  #note(record: DoneRecord, offset: number, length: number): void {
    this.#offsets[record.n] = offset;
    this.#lengths[record.n] = length;
    for (const [name] of record.lines ?? []) this.lines.set(name, (this.lines.get(name) ?? 0) + 1);
    if (record.dead !== undefined) this.dead += 1;
  }

  async #read(offset: number, length: number): Promise<Buffer> {
    const { at, bytes } = this.#window;
    if (offset < at || offset + length > at + bytes.length) {
      const size = Math.max(windowBytes, length);
      // Some of what lies before it: elements that were done a little earlier than those before them.
      const from = Math.max(0, offset - Math.floor((size - length) / 4));
      const { buffer, bytesRead } = await this.file.read(Buffer.alloc(size), 0, size, from);
      this.#window = { at: from, bytes: buffer.subarray(0, bytesRead) };
    }
    const begin = offset - this.#window.at;
    return this.#window.bytes.subarray(begin, begin + length);
  }
}
