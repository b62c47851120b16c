import { frame, readFrame } from "./frames.js";
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
/** What is read for a single message at first. */
const probablyEnough = 4 * 1024;
/** A segment that nobody needs any more is dropped before it is full when it has this many bytes. */
const worthDropping = 64 * 1024;

/** The messages of one topic in the order of their publishing. */
export class MessageLog {
  #segments: Segment[];
  #current: Segment;

  /** Opens what `store` has, cutting off a message at the end that was not written whole. */
  constructor(
    readonly store: SegmentStore,
    readonly warn: Warn,
  ) {
    this.#segments = store.open();
    const last = this.#segments.at(-1) ?? store.create(0);
    if (this.#segments.length === 0) this.#segments.push(last);
    this.#current = last;
    const whole = this.#wholeUntil(last);
    if (whole < last.size) {
      warn(`the last ${last.size - whole} bytes of a log were not written whole and are dropped`);
      last.truncate(whole);
    }
  }

  get start(): number {
    return this.#segments[0]?.base ?? 0;
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
  }

  sync(): void {
    this.#current.sync();
  }

  /** The messages from `position` on: as many as one read brings, none only at the end. */
  read(position: number): LogRecord[] {
    let at = Math.max(position, this.start);
    while (at < this.end) {
      const segment = this.#segmentAt(at);
      const { records, next } = this.#readWithin(segment, at);
      if (records.length > 0) return records;
      at = next;
    }
    return [];
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

  /** The position of the first message published at `time` or later. */
  positionAt(time: number): number {
    let from = this.start;
    for (const segment of this.#segments) {
      const first = segment.size === 0 ? undefined : this.#readWithin(segment, segment.base).records[0];
      if (first === undefined || first.publishTime >= time) break;
      from = segment.base;
    }
    for (let at = from; ;) {
      const records = this.read(at);
      const last = records.at(-1);
      if (last === undefined) return this.end;
      const found = records.find((record) => record.publishTime >= time);
      if (found !== undefined) return found.position;
      at = last.next;
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

  #roll(): void {
    this.#current.sync();
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
        const after = stop === "corrupt" && next > position ? Math.min(next, end) : end;
        this.warn(`a message at position ${position} of a log is damaged; ${after - position} bytes are left out`);
        return { records, next: after };
      }
      return { records, next: records.at(-1)?.next ?? end };
    }
  }

  /** Up to which offset the segment holds messages; what is behind was never written whole. */
  #wholeUntil(segment: Segment): number {
    let at = 0;
    let wanted = readBytes;
    while (at < segment.size) {
      const buffer = segment.read(at, wanted);
      const framed = readFrame(buffer, 0);
      if (framed.kind === "whole") {
        at += wholeFrames(buffer);
        wanted = readBytes;
      } else if (framed.kind === "partial" && at + buffer.length < segment.size) {
        wanted = framed.bytes;
      } else if (framed.kind === "corrupt" && framed.next !== undefined && this.#isFrame(segment, at + framed.next)) {
        at += framed.next; // damaged since; what follows is whole
      } else {
        return at;
      }
    }
    return at;
  }

  #isFrame(segment: Segment, offset: number): boolean {
    const framed = readFrame(segment.read(offset, readBytes), 0);
    if (framed.kind !== "partial") return framed.kind === "whole";
    return readFrame(segment.read(offset, framed.bytes), 0).kind === "whole";
  }
}

/** How many bytes of `buffer`, from its beginning, are whole frames. */
function wholeFrames(buffer: Buffer): number {
  for (let at = 0; ;) {
    const framed = readFrame(buffer, at);
    if (framed.kind !== "whole") return at;
    at = framed.next;
  }
}

/** Decodes frames into `records`. `next`: for "corrupt" the position behind it (or the same), for "partial" the bytes needed. */
function decodeAll(
  buffer: Buffer,
  base: number,
  records: LogRecord[],
): { readonly stop: "end" | "partial" | "corrupt"; readonly next: number } {
  let at = 0;
  while (at < buffer.length) {
    const framed = readFrame(buffer, at);
    if (framed.kind === "partial") return { stop: "partial", next: framed.bytes };
    if (framed.kind === "corrupt") {
      if (records.length > 0) return { stop: "corrupt", next: base + at };
      return { stop: "corrupt", next: framed.next === undefined ? base : base + framed.next };
    }
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
