import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { messageOf } from "../error-message.js";
import { EventFileError } from "./text-files.js";

/** Longest line, in bytes. What is longer is no list of elements. */
const maxLineBytes = 1024 * 1024;
const newline = 0x0a;
const carriageReturn = 0x0d;
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * The lines of a text file as bytes, without their ends (`\n` or `\r\n`) and without a byte order mark.
 * Throws an {@link EventFileError} that names the file.
 */
export async function* linesOf(
  file: string,
  source: Readable,
  compression: "auto" | "gzip" | "uncompressed",
): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  let first = true;
  try {
    for await (const chunk of await plain(source, compression)) {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let from = 0;
      for (let at = rest.indexOf(newline); at >= 0; at = rest.indexOf(newline, from)) {
        yield clean(rest.subarray(from, at), first);
        first = false;
        from = at + 1;
      }
      rest = rest.subarray(from);
      if (rest.length > maxLineBytes)
        throw new Error(`a line is longer than ${maxLineBytes} bytes: is it a text file?`);
    }
  } catch (error) {
    const why = messageOf(error);
    throw new EventFileError("EVENT_INPUT", `${file} cannot be read: ${why}`, { cause: error });
  }
  if (rest.length > 0) yield clean(rest, first);
}

function clean(line: Buffer, first: boolean): Buffer {
  const end = line.at(-1) === carriageReturn ? line.length - 1 : line.length;
  const start = first && line.subarray(0, 3).equals(byteOrderMark) ? 3 : 0;
  return line.subarray(start, end);
}

/** Decompresses what is compressed; by its first bytes when nobody says so. */
async function plain(source: Readable, compression: "auto" | "gzip" | "uncompressed"): Promise<AsyncIterable<Buffer>> {
  if (compression === "uncompressed") return source;
  const chunks = (source as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  let head: Buffer = Buffer.alloc(0);
  while (head.length < 2) {
    const next = await chunks.next();
    if (next.done === true) break;
    head = Buffer.concat([head, next.value]);
  }
  const all = async function* () {
    if (head.length > 0) yield head;
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value;
  };
  if (head.length === 0) return all(); // nothing, however it was to be compressed
  const zipped = compression === "gzip" || (head[0] === 0x1f && head[1] === 0x8b);
  return zipped ? gunzip(all()) : all();
}

async function* gunzip(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const from = Readable.from(source);
  const to = createGunzip();
  from.on("error", (error) => to.destroy(error));
  from.pipe(to);
  yield* to as AsyncIterable<Buffer>;
}
