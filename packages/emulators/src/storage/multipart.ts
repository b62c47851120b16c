import { badRequest } from "./errors.js";

export interface RelatedParts {
  /** The first part: an object resource. */
  readonly resource: Readonly<Record<string, unknown>>;
  /** The content type of the second part. */
  readonly mediaType: string | undefined;
  /** The bytes of the second part; must be read to the end. */
  readonly media: AsyncIterable<Uint8Array>;
}

/** What a part's headers and the JSON part may take. */
const maxHeadBytes = 1024 * 1024;

/** Reads a multipart/related body (RFC 2387) of two parts, JSON and media, without holding the media in memory. */
export async function readRelated(body: AsyncIterable<Uint8Array>, contentType: string): Promise<RelatedParts> {
  const match = /boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType);
  const boundary = match?.[1] ?? match?.[2];
  if (boundary === undefined) throw badRequest("a multipart upload names its boundary in Content-Type");
  const reader = new DelimitedReader(body);
  await reader.readUntil(`--${boundary}\r\n`);
  await reader.readUntil("\r\n\r\n");
  const json = await reader.readUntil(`\r\n--${boundary}\r\n`);
  const heads = (await reader.readUntil("\r\n\r\n")).toString("latin1");
  const mediaType = /^content-type:[ \t]*(.+?)[ \t]*$/im.exec(heads)?.[1];
  return { resource: parseResource(json.toString()), mediaType, media: reader.streamUntil(`\r\n--${boundary}--`) };
}

export function parseResource(text: string): Record<string, unknown> {
  if (text.trim() === "") return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badRequest("the body is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw badRequest("the body is not a JSON object");
  return value as Record<string, unknown>;
}

/** Reads a stream piece by piece up to delimiters. */
class DelimitedReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #held: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async readUntil(delimiter: string): Promise<Buffer> {
    for (;;) {
      const at = this.#held.indexOf(delimiter);
      if (at >= 0) return this.#take(at, delimiter.length);
      if (this.#held.length > maxHeadBytes) throw badRequest("a part's headers or JSON are too long");
      await this.#more();
    }
  }

  async *streamUntil(delimiter: string): AsyncGenerator<Uint8Array> {
    for (;;) {
      const at = this.#held.indexOf(delimiter);
      if (at >= 0) {
        yield this.#take(at, delimiter.length);
        return;
      }
      const safe = this.#held.length - delimiter.length;
      if (safe > 0) yield this.#take(safe, 0);
      await this.#more();
    }
  }

  #take(length: number, skip: number): Buffer {
    const taken = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length + skip);
    return taken;
  }

  async #more(): Promise<void> {
    const next = await this.#source.next();
    if (next.done === true) throw badRequest("the multipart body ends before its closing boundary");
    this.#held = this.#held.length === 0 ? Buffer.from(next.value) : Buffer.concat([this.#held, next.value]);
  }
}
