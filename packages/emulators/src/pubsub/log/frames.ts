import { crc32 } from "node:zlib";

// A frame: length of the payload (4 bytes), CRC-32 of the payload (4 bytes), payload; integers little-endian.

export const frameHeader = 8;
/** No payload is longer: a message of 10 MB with its header, or a journal record of a subscription far behind. */
export const maxPayload = 256 * 1024 * 1024;

/** Frames `payload` parts as one payload. */
export function frame(...parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const buffer = Buffer.allocUnsafe(frameHeader + length);
  let at = frameHeader;
  for (const part of parts) {
    buffer.set(part, at);
    at += part.length;
  }
  buffer.writeUInt32LE(length, 0);
  buffer.writeUInt32LE(crc32(buffer.subarray(frameHeader)), 4);
  return buffer;
}

export type Framed =
  /** `next` is the offset behind the frame. */
  | { readonly kind: "whole"; readonly payload: Buffer; readonly next: number }
  /** The buffer ends within the frame, which takes `bytes` in all (at least). */
  | { readonly kind: "partial"; readonly bytes: number }
  /** The checksum is wrong. `next` is where the next frame would begin; undefined when the length makes no sense. */
  | { readonly kind: "corrupt"; readonly next: number | undefined };

// Behind a damaged length, a whole frame is looked for at each of so many bytes, and not one of any length.
const searched = 1024 * 1024;
const longest = 12 * 1024 * 1024;

/** The offset of the first whole frame behind a damaged one at `offset`. Undefined when there is none near. */
export function nextFrame(buffer: Buffer, offset: number): number | undefined {
  const damaged = readFrame(buffer, offset);
  if (damaged.kind === "corrupt" && damaged.next !== undefined && readFrame(buffer, damaged.next).kind === "whole") {
    return damaged.next;
  }
  const end = Math.min(buffer.length - frameHeader, offset + searched);
  for (let at = offset + 1; at <= end; at += 1) {
    const length = buffer.readUInt32LE(at);
    if (length === 0 || length > longest || at + frameHeader + length > buffer.length) continue;
    if (readFrame(buffer, at).kind === "whole") return at;
  }
  return undefined;
}

/** Reads the frame at `offset` of `buffer`; the payload is a view. */
export function readFrame(buffer: Buffer, offset: number): Framed {
  if (buffer.length - offset < frameHeader) return { kind: "partial", bytes: frameHeader };
  const length = buffer.readUInt32LE(offset);
  // No payload is empty, so zeros, which a file may end with after a power failure, are no frame.
  if (length === 0 || length > maxPayload) return { kind: "corrupt", next: undefined };
  const next = offset + frameHeader + length;
  if (next > buffer.length) return { kind: "partial", bytes: frameHeader + length };
  const payload = buffer.subarray(offset + frameHeader, next);
  if (crc32(payload) !== buffer.readUInt32LE(offset + 4)) return { kind: "corrupt", next };
  return { kind: "whole", payload, next };
}
