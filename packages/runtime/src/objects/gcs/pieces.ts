import type { UploadSource } from "../../api/context.js";
import { chunksOf, viewOf } from "../source.js";

export interface Piece {
  readonly bytes: Buffer;
  /** Of the last one, which alone may be smaller than the others. */
  readonly last: boolean;
}

const smallest = 64 * 1024;

/**
 * A source in pieces of `size` bytes. Those of a stream lie in two buffers by turns: a piece is good until the one after the next is
 * asked for.
 */
export async function* piecesOf(source: UploadSource, size: number, signal: AbortSignal): AsyncGenerator<Piece> {
  if (typeof source === "string" || source instanceof Uint8Array) {
    const bytes = viewOf(source);
    for (let at = 0; at === 0 || at < bytes.length; at += size) {
      yield { bytes: bytes.subarray(at, at + size), last: at + size >= bytes.length };
    }
    return;
  }
  let filling = Buffer.alloc(0);
  let other = Buffer.alloc(0);
  let used = 0;
  for await (const chunk of chunksOf(source, signal)) {
    for (let at = 0; at < chunk.length;) {
      if (used === size) {
        // More has come: it is not the last one.
        yield { bytes: filling, last: false };
        [filling, other] = [other, filling];
        used = 0;
      }
      const taken = chunk.subarray(at, at + size - used);
      filling = withRoom(filling, used, taken.length, size);
      filling.set(taken, used);
      used += taken.length;
      at += taken.length;
    }
  }
  yield { bytes: filling.subarray(0, used), last: true };
}

/** Small streams, small buffers. */
function withRoom(buffer: Buffer, used: number, more: number, size: number): Buffer<ArrayBuffer> {
  if (used + more <= buffer.length) return buffer as Buffer<ArrayBuffer>;
  const larger = Buffer.allocUnsafeSlow(Math.min(size, Math.max(smallest, buffer.length * 2, used + more)));
  buffer.copy(larger, 0, 0, used);
  return larger;
}
