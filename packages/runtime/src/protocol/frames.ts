import type { Readable, Writable } from "node:stream";
import { WireWriter } from "./wire.js";

/** No frame is longer, in bytes, its length not counted. */
export const maxFrameBytes = 64 * 1024 * 1024;
/** Several messages share a frame up to about this many bytes. */
export const sharedFrameBytes = 4 * 1024 * 1024;
export const protocolVersion = 1;

/** The peer broke the protocol; the process at the other end cannot be trusted any further. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/** Cuts a stream of bytes into frames: each a four-byte big-endian length and that many bytes. */
export class FrameParser {
  #held: Buffer[] = [];
  #heldBytes = 0;

  /** Returns the frames that are complete now. Throws {@link ProtocolError} for a frame that is too long. */
  push(chunk: Buffer): Buffer[] {
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    const frames: Buffer[] = [];
    for (;;) {
      if (this.#heldBytes < 4) return frames;
      const length = this.#peekLength();
      if (length > maxFrameBytes) throw new ProtocolError(`a frame of ${length} bytes; ${maxFrameBytes} are allowed`);
      if (this.#heldBytes < 4 + length) return frames;
      const all = this.#joined();
      frames.push(all.subarray(4, 4 + length));
      this.#heldBytes = all.length - 4 - length;
      this.#held = this.#heldBytes === 0 ? [] : [all.subarray(4 + length)];
    }
  }

  #peekLength(): number {
    const [first] = this.#held;
    return (first !== undefined && first.length >= 4 ? first : this.#joined()).readUInt32BE(0);
  }

  #joined(): Buffer {
    const [first] = this.#held;
    if (first !== undefined && this.#held.length === 1) return first;
    const all = Buffer.concat(this.#held);
    this.#held = [all];
    return all;
  }
}

/** How the messages of one direction look in frames. */
export interface FrameCodec<T> {
  /** A whole frame, its length included. Throws {@link ProtocolError} when it is too long. */
  encode(message: T): Buffer;
  /** Takes a frame without its length. Throws when it is no such message. */
  decode(frame: Buffer): T;
}

/** Puts its length before a message. */
export function framed(body: Uint8Array | WireWriter): Buffer {
  if (body.length > maxFrameBytes) {
    throw new ProtocolError(`a frame of ${body.length} bytes; ${maxFrameBytes} are allowed`);
  }
  if (body instanceof WireWriter) {
    body.frameLength();
    return body.finish();
  }
  const frame = Buffer.allocUnsafe(4 + body.length);
  frame.writeUInt32BE(body.length, 0);
  frame.set(body, 4);
  return frame;
}

/** Cuts a list into pieces of at most about `sharedFrameBytes` together; one that is larger travels by itself. */
export function piecesOf<T>(all: readonly T[], bytesOf: (item: T) => number): T[][] {
  const pieces: T[][] = [];
  let bytes = Infinity;
  for (const item of all) {
    const size = bytesOf(item);
    if (bytes + size > sharedFrameBytes) {
      pieces.push([]);
      bytes = 0;
    }
    pieces.at(-1)?.push(item);
    bytes += size;
  }
  return pieces;
}

/** Both directions of a connection between supervisor and worker. */
export class FrameChannel<Out, In> {
  constructor(
    readonly out: FrameCodec<Out>,
    readonly sink: Writable,
    readonly incoming: FrameCodec<In>,
    readonly source: Readable,
  ) {}

  send(message: Out): void {
    if (this.sink.writable) this.sink.write(this.out.encode(message));
  }

  /** Calls `handle` for every frame. `fail` is called once, with what went wrong, or without an error at the end. */
  receive(handle: (message: In) => void, fail: (error?: Error) => void): void {
    const parser = new FrameParser();
    let over = false;
    const end = (error?: Error) => {
      if (over) return;
      over = true;
      fail(error);
    };
    this.source.on("data", (chunk: Buffer) => {
      if (over) return;
      try {
        for (const frame of parser.push(chunk)) handle(this.incoming.decode(frame));
      } catch (error) {
        end(error instanceof Error ? error : new ProtocolError(String(error)));
      }
    });
    this.source.on("end", () => {
      end();
    });
    this.source.on("close", () => {
      end();
    });
    this.source.on("error", end);
    this.sink.on("error", () => undefined); // a dead peer shows at the source
  }
}
