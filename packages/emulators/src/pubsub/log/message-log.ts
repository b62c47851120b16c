import { frame, nextFrame, readFrame } from "./frames.js";
import type { Segment, SegmentStore } from "./segments.js";

/** A message as the log keeps it. */
export interface LogMessage {
  /** Milliseconds since the epoch; never less than that of the message before. */
  readonly publishTime: number;
  readonly orderingKey: string;
  /** A google.pubsub.v1.PubsubMessage, encoded. */
  readonly message: Uint8Array;
}

export interface LogRecord extends LogMessage {
  readonly position: number;
  /** The position of the record behind it. */
  readonly next: number;
}

/** Tells of data that cannot be read; the emulator goes on without it. */
export type Warn = (text: string) => void;

/** How much is read at once, in bytes. */
const readBytes = 256 * 1024;
/** Where a whole message is looked for behind a damaged one: enough for two of the largest. */
const searchBytes = 24 * 1024 * 1024;
/** What is read for a single message at first. */
const probablyEnough = 4 * 1024;
/** A segment that nobody needs any more is dropped before it is full when it has this many bytes. */
const worthDropping = 64 * 1024;

/** The messages of one topic in the order of their publishing. */
export class MessageLog {
  #segments: Segment[];
  #current: Segment;
  #lastTime = 0;

  /** Opens what `store` has, cutting off a message at the end that was not written whole. */
  constructor(
    readonly store: SegmentStore,
    readonly warn: Warn,
  ) {
    this.#segments = store.open();
    const last = this.#segments.at(-1) ?? store.create(0);
    if (this.#segments.length === 0) this.#segments.push(last);
    this.#current = last;
    const { whole, torn } = this.#wholeUntil(last);
    if (whole < last.size) {
      warn(`the last ${last.size - whole} bytes of a log were not written whole and are dropped`);
      last.cut(whole, !torn);
    }
  }

  get start(): number {
    return this.#segments[0]?.base ?? 0;
  }

  /** When the last message was published, in milliseconds since the epoch; 0 when that is not known. */
  get lastTime(): number {
    return this.#lastTime;
  }

  /** The position the next message gets. */
  get end(): number {
    return this.#current.base + this.#current.size;
  }

  /** Appends all messages, or throws and appends none. */
  append(messages: readonly LogMessage[]): void {
    const bytes = Buffer.concat(messages.map(encode));
    if (this.#current.size > 0 && this.#current.size + bytes.length > this.store.segmentBytes) this.#roll();
    this.#current.append(bytes);
    this.#lastTime = messages.at(-1)?.publishTime ?? this.#lastTime;
  }

  sync(): void {
    this.#current.sync();
  }

  /** The messages from `position` on: as many as one read brings, none only at the end. `next` is where to go on. */
  read(position: number): { readonly records: LogRecord[]; readonly next: number } {
    let at = Math.max(position, this.start);
    while (at < this.end) {
      const segment = this.#segmentAt(at);
      const { records, next } = this.#readWithin(segment, at);
      // A segment may have lost its end; the next one begins where it always did.
      at = next >= segment.base + segment.size ? this.#behind(segment) : next;
      if (records.length > 0) return { records, next: at };
    }
    return { records: [], next: at };
  }

  /** The message at a position that `read` has told. Undefined when it cannot be read any more. */
  readOne(position: number, bytes = probablyEnough): LogRecord | undefined {
    if (position < this.start || position >= this.end) return undefined;
    const segment = this.#segmentAt(position);
    const framed = readFrame(segment.read(position - segment.base, bytes), 0);
    if (framed.kind === "whole") return decode(framed.payload, position, position + framed.next);
    if (framed.kind === "partial" && framed.bytes > bytes) return this.readOne(position, framed.bytes);
    return undefined;
  }

  /** The position of the first message published at `time` or later, which is known not to lie before `from`. */
  positionAt(time: number, from = this.start): number {
    let at = Math.max(from, this.start);
    for (const segment of this.#segments) {
      if (segment.base <= at) continue;
      const first = this.readOne(segment.base);
      if (first === undefined || first.publishTime >= time) break;
      at = segment.base;
    }
    for (;;) {
      const { records, next } = this.read(at);
      if (records.length === 0) return this.end;
      const found = records.find((record) => record.publishTime >= time);
      if (found !== undefined) return found.position;
      at = next;
    }
  }

  /** Drops what lies before `position`, by whole segments. */
  trim(position: number): void {
    if (position >= this.end && this.#current.size >= worthDropping) this.#roll();
    while (this.#segments.length > 1) {
      const [first, second] = this.#segments;
      if (first === undefined || second === undefined || second.base > position) return;
      this.#segments.shift();
      first.remove();
    }
  }

  close(): void {
    for (const segment of this.#segments) segment.close();
  }

  remove(): void {
    for (const segment of this.#segments) segment.remove();
    this.store.remove();
  }

  #behind(segment: Segment): number {
    return this.#segments[this.#segments.indexOf(segment) + 1]?.base ?? this.end;
  }

  #roll(): void {
    if (this.store.onDisk) this.#current.sync();
    this.#current = this.store.create(this.end);
    this.#segments.push(this.#current);
  }

  #segmentAt(position: number): Segment {
    let low = 0;
    let high = this.#segments.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.#segments[middle]?.base ?? Infinity) <= position) low = middle;
      else high = middle - 1;
    }
    return this.#segments[low] ?? this.#current;
  }

  #readWithin(segment: Segment, position: number): { records: LogRecord[]; next: number } {
    const records: LogRecord[] = [];
    const end = segment.base + segment.size;
    let wanted = readBytes;
    for (;;) {
      const buffer = segment.read(position - segment.base, wanted);
      const { stop, next } = decodeAll(buffer, position, records);
      if (stop === "partial" && records.length === 0 && position + buffer.length < end) {
        wanted = next; // one message that is longer than a read
        continue;
      }
      if (stop === "corrupt" || (stop === "partial" && records.length === 0)) {
        if (records.length > 0) return { records, next };
        const whole = nextFrame(segment.read(position - segment.base, searchBytes), 0);
        const after = whole === undefined ? end : position + whole;
        this.warn(`a message at position ${position} of a log is damaged; ${after - position} bytes are left out`);
        return { records, next: after };
      }
      return { records, next: records.at(-1)?.next ?? end };
    }
  }

  /** Up to which offset the segment holds messages; what is behind was never written whole. */
  #wholeUntil(segment: Segment): { readonly whole: number; readonly torn: boolean } {
    let at = 0;
    let wanted = readBytes;
    while (at < segment.size) {
      const buffer = segment.read(at, wanted);
      const framed = readFrame(buffer, 0);
      if (framed.kind === "whole") {
        const { bytes, last } = wholeFrames(buffer);
        if (last !== undefined) this.#lastTime = decode(last, 0, 0).publishTime;
        at += bytes;
        wanted = readBytes;
      } else if (framed.kind === "partial" && at + buffer.length < segment.size) {
        wanted = framed.bytes;
      } else {
        const next = nextFrame(segment.read(at, searchBytes), 0);
        if (next === undefined) return { whole: at, torn: framed.kind === "partial" };
        at += next; // damaged since; what follows is whole
      }
    }
    return { whole: at, torn: true };
  }
}

/** How many bytes of `buffer`, from its beginning, are whole frames, and the payload of the last of them. */
function wholeFrames(buffer: Buffer): { readonly bytes: number; readonly last: Buffer | undefined } {
  let bytes = 0;
  let last: Buffer | undefined;
  for (;;) {
    const framed = readFrame(buffer, bytes);
    if (framed.kind !== "whole") return { bytes, last };
    last = framed.payload;
    bytes = framed.next;
  }
}

/** Decodes frames into `records`. `next`: where it stopped; for "partial" the bytes that the frame takes. */
function decodeAll(
  buffer: Buffer,
  base: number,
  records: LogRecord[],
): { readonly stop: "end" | "partial" | "corrupt"; readonly next: number } {
  let at = 0;
  while (at < buffer.length) {
    const framed = readFrame(buffer, at);
    if (framed.kind === "partial") return { stop: "partial", next: framed.bytes };
    if (framed.kind === "corrupt") return { stop: "corrupt", next: base + at };
    records.push(decode(framed.payload, base + at, base + framed.next));
    at = framed.next;
  }
  return { stop: "end", next: base + at };
}

// A payload: publish time (8 bytes, double), length of the ordering key (4 bytes), the key in UTF-8, the message.
const fixedBytes = 12;

function encode({ publishTime, orderingKey, message }: LogMessage): Buffer {
  const key = Buffer.from(orderingKey);
  const fixed = Buffer.allocUnsafe(fixedBytes);
  fixed.writeDoubleLE(publishTime, 0);
  fixed.writeUInt32LE(key.length, 8);
  return frame(fixed, key, message);
}

function decode(payload: Buffer, position: number, next: number): LogRecord {
  const keyLength = payload.readUInt32LE(8);
  const messageAt = fixedBytes + keyLength;
  return {
    position,
    next,
    publishTime: payload.readDoubleLE(0),
    orderingKey: keyLength === 0 ? "" : payload.toString("utf8", fixedBytes, messageAt),
    message: payload.subarray(messageAt),
  };
}
