import { badRequest, tooLarge } from "../errors.js";
import { parseResource, type Resource } from "./resource.js";

export interface RelatedParts {
  /** The first part: an object resource. */
  readonly resource: Resource;
  /** The content type of the second part. */
  readonly mediaType: string | undefined;
  /** The bytes of the second part; must be read to the end. */
  readonly media: AsyncIterable<Uint8Array>;
}

/** What a part's headers and the JSON part may take. */
const maxHeadBytes = 1024 * 1024;

/**
 * The boundary of a multipart body, as Content-Type has it. Quotes of either kind are none of it: gcloud puts single ones. Throws
 * 400 when there is none.
 */
export function boundaryOf(contentType: string | undefined): string {
  const match = /\bboundary=(?:"([^"]+)"|'([^']+)'|([^;\s]+))/i.exec(contentType ?? "");
  const boundary = match?.[1] ?? match?.[2] ?? match?.[3];
  if (boundary === undefined || boundary.length > 200) {
    throw badRequest("a multipart body names its boundary in Content-Type");
  }
  return boundary;
}

/**
 * Reads a multipart/related body (RFC 2387) of two parts, JSON and media, without holding the media in memory. Lines end as the
 * first one does: with CR LF or, as gcloud writes them, with LF.
 */
export async function readRelated(body: AsyncIterable<Uint8Array>, boundary: string): Promise<RelatedParts> {
  const reader = new DelimitedReader(body);
  await reader.readUntil(`--${boundary}`);
  const eol = (await reader.readUntil("\n")).toString("latin1") === "\r" ? "\r\n" : "\n";
  // A part may come without headers.
  reader.unread(eol);
  await reader.readUntil(`${eol}${eol}`);
  const resource = await reader.readUntil(`${eol}--${boundary}${eol}`);
  reader.unread(eol);
  const heads = (await reader.readUntil(`${eol}${eol}`)).toString("latin1");
  const mediaType = /^content-type:(.*)$/im.exec(heads)?.[1]?.trim();
  const media = reader.streamUntil(`${eol}--${boundary}--`);
  return { resource: parseResource(resource.toString()), mediaType, media };
}

/** Reads a stream piece by piece up to delimiters. */
class DelimitedReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #held: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  unread(text: string): void {
    this.#held = Buffer.concat([Buffer.from(text), this.#held]);
  }

  async readUntil(delimiter: string): Promise<Buffer> {
    for (;;) {
      const at = this.#held.indexOf(delimiter);
      if (at >= 0) return this.#take(at, delimiter.length);
      if (this.#held.length > maxHeadBytes) throw tooLarge("a part's headers or JSON are too long");
      await this.#more();
    }
  }

  async *streamUntil(delimiter: string): AsyncGenerator<Uint8Array> {
    for (;;) {
      const at = this.#held.indexOf(delimiter);
      if (at >= 0) {
        yield this.#take(at, delimiter.length);
        return this.#drain();
      }
      const safe = this.#held.length - delimiter.length;
      if (safe > 0) yield this.#take(safe, 0);
      await this.#more();
    }
  }

  /** What follows the last part is read away, so that the connection can be used again. */
  async #drain(): Promise<void> {
    while ((await this.#source.next()).done !== true);
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
