import { isUint8Array } from "node:util/types";
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
  const iterator = iterate(source);
  let giveUp: (reason: Error) => void = () => undefined;
  const aborted = () => {
    giveUp(signal.reason as Error);
  };
  signal.addEventListener("abort", aborted);
  let over = false;
  try {
    for (;;) {
      signal.throwIfAborted(); // while the last chunk was made use of
      const next = await new Promise<IteratorResult<unknown>>((resolve, reject) => {
        giveUp = reject;
        iterator.next().then(resolve, reject);
      });
      over = next.done === true;
      if (next.done === true) return;
      yield bytesIn(next.value);
    }
  } finally {
    signal.removeEventListener("abort", aborted);
    if (!over) leave(source, iterator);
  }
}

/** In plain JavaScript a source may be anything. */
function iterate(source: unknown): AsyncIterator<unknown> {
  if (isIterable(source)) return source[Symbol.asyncIterator]();
  throw new TypeError(`an upload takes bytes, text or a stream of them, not ${kindOf(source)}; ${advice}`);
}

function isIterable(source: unknown): source is AsyncIterable<unknown> {
  return typeof source === "object" && source !== null && Symbol.asyncIterator in source;
}

function bytesIn(chunk: unknown): Uint8Array {
  if (typeof chunk === "string") return Buffer.from(chunk);
  if (isUint8Array(chunk)) return chunk;
  throw new TypeError(`the stream of an upload gives bytes or text, not ${kindOf(chunk)}; ${advice}`);
}

const advice = "make bytes of it first, e.g. Buffer.from(JSON.stringify(value))";

function kindOf(value: unknown): string {
  return `a value of type ${Object.prototype.toString.call(value).slice("[object ".length, -1)}`;
}

/** A stream that fails while nobody reads it yet keeps its error for whoever does: not being heard, it would end the worker. */
export function hearErrors(source: UploadSource): void {
  if (isStream(source)) source.on("error", () => undefined);
}

/**
 * Lets go of a source that nobody reads, or reads any more. Not awaited: one that is waiting for something would answer only when it
 * has it.
 */
export function leave(source: UploadSource, iterator?: AsyncIterator<unknown>): void {
  if (isStream(source)) source.destroy();
  else if (typeof source === "object" && !isUint8Array(source)) void end(source, iterator).catch(() => undefined);
}

async function end(source: AsyncIterable<unknown>, iterator: AsyncIterator<unknown> | undefined): Promise<void> {
  await (iterator ?? iterate(source)).return?.();
}

interface Stream {
  on(event: "error", hear: () => void): unknown;
  destroy(): unknown;
}

/** Also those of packages that bring streams of their own. */
function isStream(source: unknown): source is Stream {
  if (typeof source !== "object" || source === null) return false;
  const { on, destroy } = source as Readonly<Record<string, unknown>>;
  return typeof on === "function" && typeof destroy === "function";
}

/** All bytes of a source, in memory that is nobody else's. */
export async function bytesOf(source: UploadSource, signal: AbortSignal): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of chunksOf(source, signal)) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}
