import { addAbortSignal, Readable } from "node:stream";

export interface ChunkSource {
  /** What it waits for ends when the signal aborts. */
  chunks(signal: AbortSignal): AsyncGenerator<Uint8Array>;
  /** Called once, when nothing is read any more. */
  close(): void | Promise<void>;
}

/**
 * A stream of chunks. Destroying it, or aborting `signal`, also ends what the source waits for: `Readable.from` would first wait
 * for the next chunk.
 */
export function streamOf(source: ChunkSource, signal: AbortSignal): Readable {
  const ended = new AbortController();
  const chunks = source.chunks(AbortSignal.any([signal, ended.signal]));
  const stream: Readable = new Readable({
    highWaterMark: 256 * 1024,
    read() {
      chunks.next().then(
        ({ done, value }) => this.push(done === true ? null : value),
        (error: unknown) => this.destroy(error as Error),
      );
    },
    destroy(error, callback) {
      ended.abort(error ?? new Error("the stream was destroyed"));
      void close(source, chunks).then(() => {
        callback(error);
      });
    },
  });
  // Whoever reads it is told; nobody reading is no reason to end the worker.
  stream.on("error", () => undefined);
  return addAbortSignal(signal, stream);
}

async function close(source: ChunkSource, chunks: AsyncGenerator<Uint8Array>): Promise<void> {
  try {
    await chunks.return(undefined);
    await source.close();
  } catch {
    // Nobody wants the bytes any more.
  }
}
