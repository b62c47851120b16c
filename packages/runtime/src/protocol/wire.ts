// Protocol buffers' wire format for the few messages of which every element makes several; docs/decisions/0002 says why.
// https://protobuf.dev/programming-guides/encoding/: a tag is the field's number times 8, plus 0 for a varint or 2 for what has a
// length in front.
//
// Both ends give up at what is not plain (fields that nobody knows, numbers below zero, a message in two parts): then
// @bufbuild/protobuf, which knows it all, takes the whole from the start.

/** Room for tags, lengths and small fields, in bytes. */
const slack = 256;
/** Shorter text is mostly ASCII, and taken byte by byte faster than by a call into the engine. */
const shortText = 64;
// What @bufbuild/protobuf decodes text with; throws a TypeError for what is not UTF-8.
const strictText = new TextDecoder("utf-8", { fatal: true });

export const noBytes: Uint8Array = new Uint8Array(0);

/** Reads one message. Bytes are views of what is read, not copies. */
export class WireReader {
  #at = 0;
  #end: number;

  constructor(readonly bytes: Buffer) {
    this.#end = bytes.length;
  }

  /** It was no plain message: what was read of it is void. */
  get gaveUp(): boolean {
    return this.#at === Infinity;
  }

  giveUp(): void {
    this.#at = Infinity;
  }

  /** Whether the message at hand has more fields. */
  get more(): boolean {
    return this.#at < this.#end;
  }

  /** Below 2^49. */
  uint(): number {
    const { bytes } = this;
    let at = this.#at;
    let byte = bytes[at++] ?? 0;
    let value = byte & 0x7f;
    for (let factor = 0x80; byte >= 0x80; factor *= 0x80) {
      byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * factor;
      if (at - this.#at > 7) {
        this.giveUp();
        return 0;
      }
    }
    if (at > this.#end) this.giveUp();
    else this.#at = at;
    return value;
  }

  /** A tag, or a number of 32 bits. */
  uint32(): number {
    const value = this.uint();
    if (value > 0xffff_ffff) this.giveUp();
    return value;
  }

  uint64(): bigint {
    return BigInt(this.uint());
  }

  /** A number of 32 bits with a sign, or a value of an enumeration; those below zero are not plain. */
  int32(): number {
    const value = this.uint();
    if (value > 0x7fff_ffff) this.giveUp();
    return value;
  }

  bool(): boolean {
    return this.uint() !== 0;
  }

  data(): Uint8Array {
    const start = this.#skip();
    return this.bytes.subarray(start, this.#at);
  }

  text(): string {
    const start = this.#skip();
    if (this.gaveUp) return "";
    const { bytes } = this;
    const end = this.#at;
    for (let at = start; at < end; at += 1) {
      if ((bytes[at] ?? 0) < 0x80) continue;
      try {
        return strictText.decode(bytes.subarray(start, end));
      } catch {
        this.giveUp();
        return "";
      }
    }
    return bytes.toString("latin1", start, end);
  }

  /** A message in this one. */
  nested<T>(read: (reader: this) => T): T {
    const outer = this.#end;
    const start = this.#skip();
    const end = this.#at;
    if (!this.gaveUp) {
      this.#at = start;
      this.#end = end;
    }
    const value = read(this);
    if (this.#at !== end) this.giveUp();
    this.#end = outer;
    return value;
  }

  /** Where what has a length in front begins; the reader is behind it then. */
  #skip(): number {
    const length = this.uint32();
    const start = this.#at;
    if (start + length > this.#end) this.giveUp();
    else this.#at = start + length;
    return this.gaveUp ? 0 : start;
  }
}

/**
 * Writes one message from its last field to its first: so the length of what is nested is known when it comes to be written, and
 * nothing is copied twice. Fields without a value are left out, as proto3 has it.
 */
export class WireWriter {
  gaveUp = false;
  #bytes: Buffer;
  #at: number;

  /** `most`: how many bytes text and data have together, about; it grows when they have more. */
  constructor(most: number) {
    this.#bytes = Buffer.allocUnsafe(most + slack);
    this.#at = this.#bytes.length;
  }

  giveUp(): void {
    this.gaveUp = true;
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#bytes.length - this.#at;
  }

  /** What was written; the writer is done then. */
  finish(): Buffer {
    return this.#bytes.subarray(this.#at);
  }

  uint(tag: number, value: number): void {
    if (value === 0) return;
    if (value < 0) {
      this.giveUp();
      return;
    }
    this.#varint(value);
    this.#varint(tag);
  }

  uint64(tag: number, value: bigint): void {
    const number = Number(value); // compared as a number, which is much faster
    if (number > Number.MAX_SAFE_INTEGER) this.giveUp();
    else this.uint(tag, number);
  }

  bool(tag: number, value: boolean): void {
    if (value) this.uint(tag, 1);
  }

  data(tag: number, value: Uint8Array): void {
    if (value.length === 0) return;
    this.#room(value.length);
    this.#at -= value.length;
    this.#bytes.set(value, this.#at);
    this.#varint(value.length);
    this.#varint(tag);
  }

  text(tag: number, value: string): void {
    if (value === "") return;
    const before = this.length;
    if (!this.#short(value)) {
      const length = Buffer.byteLength(value);
      this.#room(length);
      this.#at -= length;
      this.#bytes.write(value, this.#at, length, "utf8");
    }
    this.#varint(this.length - before);
    this.#varint(tag);
  }

  /** A message in this one. */
  nested<T extends { readonly $unknown?: unknown }>(
    tag: number,
    value: T | undefined,
    write: (writer: this, value: T) => void,
  ): void {
    if (value === undefined) return;
    const before = this.length;
    this.message(value, write);
    this.#varint(this.length - before);
    this.#varint(tag);
  }

  /** A message as it stands. */
  message<T extends { readonly $unknown?: unknown }>(value: T, write: (writer: this, value: T) => void): void {
    if (value.$unknown !== undefined) this.giveUp();
    write(this, value);
  }

  /** Messages in this one. */
  list<T extends { readonly $unknown?: unknown }>(
    tag: number,
    values: readonly T[],
    write: (writer: this, value: T) => void,
  ): void {
    for (let i = values.length - 1; i >= 0; i -= 1) this.nested(tag, values[i], write);
  }

  /** How many bytes there are, in four bytes. */
  frameLength(): void {
    const { length } = this;
    this.#room(4);
    this.#at -= 4;
    this.#bytes.writeUInt32BE(length, this.#at);
  }

  #short(value: string): boolean {
    if (value.length > shortText) return false;
    this.#room(value.length);
    const from = this.#at - value.length;
    for (let i = 0; i < value.length; i += 1) {
      const code = value.charCodeAt(i);
      if (code >= 0x80) return false;
      this.#bytes[from + i] = code;
    }
    this.#at = from;
    return true;
  }

  #varint(value: number): void {
    if (value < 0x80) {
      if (this.#at === 0) this.#room(1);
      this.#bytes[--this.#at] = value;
      return;
    }
    let size = 1;
    for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size += 1;
    this.#room(size);
    this.#at -= size;
    let at = this.#at;
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.#bytes[at++] = (rest % 0x80) | 0x80;
    this.#bytes[at] = rest;
  }

  #room(size: number): void {
    if (size <= this.#at) return;
    const { length } = this;
    const grown = Buffer.allocUnsafe(2 * this.#bytes.length + size);
    grown.set(this.finish(), grown.length - length);
    this.#at = grown.length - length;
    this.#bytes = grown;
  }
}
