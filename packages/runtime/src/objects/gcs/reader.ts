import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { InputNotFoundError } from "../../api/errors.js";
import { StorageError } from "../storage-error.js";
import { type ObjectPath, type ReadOptions, uriOf } from "../store.js";
import type { GcsClient, GcsRequest } from "./client.js";
import { retrying, Tries } from "./tries.js";

/** What the service says of an object with its bytes: https://cloud.google.com/storage/docs/xml-api/reference-headers */
export interface ObjectHead {
  /** Undefined where a server does not tell: then a download cannot be resumed. */
  readonly generation: string | undefined;
  /** Bytes, as stored. */
  readonly size: number;
  /** Of the bytes as stored; base64. */
  readonly crc32c: string | undefined;
  /** Stored packed by gzip, for readers to unpack. */
  readonly gzip: boolean;
}

/** Reads one generation of an object. What breaks off is asked for again from where it broke. */
export class GcsReader {
  private constructor(
    readonly client: GcsClient,
    readonly path: ObjectPath,
    readonly options: ReadOptions,
    readonly head: ObjectHead,
    /** The answer to the first request, which goes from the beginning to the end, until somebody reads it. */
    private first: IncomingMessage | undefined,
  ) {}

  /** Asks for the whole object at once: a small one needs no second request. Throws InputNotFoundError. */
  static async begin(
    client: GcsClient,
    path: ObjectPath,
    signal: AbortSignal,
    options: ReadOptions,
  ): Promise<GcsReader> {
    return retrying(client.limits, signal, async () => {
      const { generation } = options.known ?? {};
      const whole = (of: string | undefined) => client.open(request(client, path, of), signal);
      const answer = await whole(generation)
        // Replaced since somebody looked, perhaps.
        .catch((error: unknown) => (generation !== undefined && isMissing(error) ? whole(undefined) : rethrow(error)))
        .catch((error: unknown) => rethrow(isMissing(error) ? new InputNotFoundError(uriOf(path)) : error));
      return new GcsReader(client, path, options, headOf(answer.headers, path), answer);
    });
  }

  /** The bytes from `from` to before `to`. */
  async *bytes(from: number, to: number, signal: AbortSignal): AsyncGenerator<Buffer> {
    const tries = new Tries(this.client.limits, signal);
    let at = from;
    while (at < to) {
      try {
        const isFirst = at === 0 && this.first !== undefined;
        const answer = await this.#answer(at, to, signal);
        for await (const chunk of this.client.bytes(answer, what(this.path), signal)) {
          this.options.arrived?.(chunk.length);
          tries.progress(chunk.length);
          const wanted = chunk.subarray(0, to - at);
          at += wanted.length;
          yield wanted;
          // Only the first answer goes further than that; the others are read to their end, for their connection to be used again.
          if (isFirst && at === to && to < this.head.size) return;
        }
        if (at < to)
          throw new StorageError(`${what(this.path)}: ${to - at} bytes are missing`, { code: "STORAGE_TRUNCATED" });
      } catch (error) {
        if (at < to) await tries.again(error);
      }
    }
  }

  /** Drops an answer that nobody has read. */
  close(): void {
    this.first?.destroy();
    this.first = undefined;
  }

  checksumError(): StorageError {
    return new StorageError(`${what(this.path)}: the bytes do not match their checksum`, { code: "STORAGE_CHECKSUM" });
  }

  async #answer(at: number, to: number, signal: AbortSignal): Promise<IncomingMessage> {
    const { first } = this;
    if (at === 0 && first !== undefined) {
      this.first = undefined;
      return first;
    }
    const { generation } = this.head;
    const how = what(this.path);
    if (generation === undefined)
      throw new StorageError(`${how}: its generation is not known`, { code: "STORAGE_PROTOCOL" });
    const answer = await this.client.open(request(this.client, this.path, generation, `bytes=${at}-${to - 1}`), signal);
    if (answer.statusCode === 206) return answer;
    answer.destroy();
    throw new StorageError(`${how}: a range was asked for, the whole came`, { code: "STORAGE_PROTOCOL" });
  }
}

function request(client: GcsClient, path: ObjectPath, generation: string | undefined, range?: string): GcsRequest {
  return {
    what: what(path),
    method: "GET",
    url: client.objectUrl(path, { alt: "media", ...(generation === undefined ? {} : { generation }) }),
    // Packed objects come as they are stored, which is what the checksum is of:
    // https://cloud.google.com/storage/docs/transcoding
    headers: { "accept-encoding": "gzip", ...(range === undefined ? {} : { range }) },
  };
}

function isMissing(error: unknown): boolean {
  return error instanceof StorageError && error.status === 404;
}

function rethrow(error: unknown): never {
  throw error;
}

function what(path: ObjectPath): string {
  return `reading ${uriOf(path)}`;
}

function headOf(headers: IncomingHttpHeaders, path: ObjectPath): ObjectHead {
  const one = (name: string) => {
    const value = headers[name];
    return Array.isArray(value) ? value.join() : value;
  };
  const size = Number(one("x-goog-stored-content-length") ?? one("content-length") ?? NaN);
  if (!Number.isSafeInteger(size))
    throw new StorageError(`${what(path)}: its size is not told`, { code: "STORAGE_PROTOCOL" });
  const hash = one("x-goog-hash")
    ?.split(",")
    .find((part) => part.trim().startsWith("crc32c="));
  return {
    generation: one("x-goog-generation"),
    size,
    crc32c: hash?.trim().slice("crc32c=".length),
    gzip: one("content-encoding") === "gzip",
  };
}
