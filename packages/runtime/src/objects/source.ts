import { Readable } from "node:stream";
import type { UploadSource } from "../api/context.js";

/** The bytes of text or bytes, not copied. */
export function viewOf(source: string | Uint8Array): Buffer {
  return typeof source === "string"
    ? Buffer.from(source)
    : Buffer.from(source.buffer, source.byteOffset, source.length);
}

/**
 * What an upload's source gives. Throws what the source throws, and the signal's reason once it is aborted: at once, whatever the
 * source waits for, and also where the source has merely ended (a program that was killed ends its output like one that is done).
 */
export async function* chunksOf(source: UploadSource, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  signal.throwIfAborted();
  if (typeof source === "string" || source instanceof Uint8Array) {
    yield viewOf(source);
    return;
  }
  const iterator = source[Symbol.asyncIterator]();
  let giveUp: (reason: Error) => void = () => undefined;
  const aborted = () => {
    giveUp(signal.reason as Error);
  };
  signal.addEventListener("abort", aborted);
  let over = false;
  try {
    for (;;) {
      signal.throwIfAborted(); // while the last chunk was made use of
      const next = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        giveUp = reject;
        iterator.next().then(resolve, reject);
      });
      over = next.done === true;
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener("abort", aborted);
    if (!over) leave(source, iterator);
  }
}

/** Not awaited: a source that is waiting for something would answer only when it has it. */
function leave(source: AsyncIterable<Uint8Array>, iterator: AsyncIterator<Uint8Array>): void {
  if (source instanceof Readable) source.destroy();
  else void Promise.resolve(iterator.return?.()).catch(() => undefined);
}

/** All bytes of a source, in memory that is nobody else's. */
export async function bytesOf(source: UploadSource, signal: AbortSignal): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of chunksOf(source, signal)) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}
