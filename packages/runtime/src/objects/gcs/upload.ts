import { randomUUID } from "node:crypto";
import type { UploadSource } from "../../api/context.js";
import { Crc32c, crc32cText } from "../crc32c.js";
import { StorageError } from "../storage-error.js";
import { GenerationMismatchError, type ObjectPath, uriOf, type WriteOptions } from "../store.js";
import type { GcsAnswer, GcsClient } from "./client.js";
import { type Piece, piecesOf } from "./pieces.js";
import { Tries } from "./tries.js";

/** The metadata key under which an object remembers the requests that wrote it. */
export const byKey = "klio-by";

export interface Uploaded {
  readonly resource: GcsAnswer["resource"];
  /** Of the bytes that were sent; base64. */
  readonly crc32c: string;
}

/** How long a failed upload may take to be given up with the service as well, in milliseconds. */
const cancelMs = 2_000;

/**
 * Sends an object: a small one in one request, a larger one in pieces, of which each is sent again from where it broke. The service
 * compares the CRC-32C of all bytes before it makes an object of them. Throws {@link GenerationMismatchError}.
 */
export async function upload(
  client: GcsClient,
  path: ObjectPath,
  data: UploadSource,
  options: WriteOptions,
  signal: AbortSignal,
): Promise<Uploaded> {
  const ended = new AbortController();
  const both = AbortSignal.any([signal, ended.signal]);
  const crc = new Crc32c();
  let session: Session | undefined;
  let sending: Promise<GcsAnswer["resource"]> = Promise.resolve({});
  try {
    for await (const piece of piecesOf(data, client.limits.pieceBytes, both)) {
      // One piece is on its way while the next one fills.
      await sending;
      crc.update(piece.bytes);
      const crc32c = crc32cText(crc.value);
      if (session === undefined && piece.last) sending = sendWhole(client, path, piece.bytes, crc32c, options, both);
      else sending = (session ??= await Session.begin(client, path, options, both)).send(piece, crc32c, both);
      // Nor is more read of the source then, however long it takes for the next piece.
      sending.catch((error: unknown) => {
        ended.abort(error);
      });
    }
    return { resource: await sending, crc32c: crc32cText(crc.value) };
  } catch (error) {
    ended.abort(error);
    await sending.catch(() => undefined);
    await session?.cancel();
    const mismatch = error instanceof StorageError && error.status === 412;
    throw mismatch ? new GenerationMismatchError(uriOf(path), { cause: error }) : error;
  }
}

function resourceOf(path: ObjectPath, options: WriteOptions) {
  return { name: path.name, contentType: options.contentType, metadata: { [byKey]: options.by.join(",") } };
}

/** https://cloud.google.com/storage/docs/uploading-objects#uploading-an-object, "JSON API multipart upload" */
async function sendWhole(
  client: GcsClient,
  path: ObjectPath,
  bytes: Uint8Array,
  crc32c: string,
  options: WriteOptions,
  signal: AbortSignal,
): Promise<GcsAnswer["resource"]> {
  const boundary = randomUUID();
  const resource = JSON.stringify({ ...resourceOf(path, options), crc32c });
  const head =
    `--${boundary}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n${resource}\r\n` +
    `--${boundary}\r\ncontent-type: application/octet-stream\r\n\r\n`;
  const answer = await client.askAgain(
    {
      what: `writing ${uriOf(path)}`,
      method: "POST",
      url: client.uploadUrl(path, { uploadType: "multipart", ifGenerationMatch: options.ifGenerationMatch }),
      headers: { "content-type": `multipart/related; boundary=${boundary}` },
      body: [Buffer.from(head), bytes, Buffer.from(`\r\n--${boundary}--`)],
    },
    signal,
  );
  return answer.resource;
}

/** What is still to be sent of a piece. */
interface Rest {
  readonly bytes: Uint8Array;
  /** Where it begins in the object. */
  readonly at: number;
  /** Of the object, in bytes; `*` before its last piece. */
  readonly total: string;
  readonly crc32c: string | undefined;
}

/** An upload in pieces: https://cloud.google.com/storage/docs/performing-resumable-uploads */
class Session {
  /** Bytes of the pieces before. */
  #sent = 0;

  private constructor(
    readonly client: GcsClient,
    readonly what: string,
    readonly url: URL,
  ) {}

  static async begin(
    client: GcsClient,
    path: ObjectPath,
    options: WriteOptions,
    signal: AbortSignal,
  ): Promise<Session> {
    const what = `writing ${uriOf(path)}`;
    const { headers } = await client.askAgain(
      {
        what,
        method: "POST",
        url: client.uploadUrl(path, { uploadType: "resumable", ifGenerationMatch: options.ifGenerationMatch }),
        headers: { "content-type": "application/json; charset=UTF-8" },
        body: [Buffer.from(JSON.stringify(resourceOf(path, options)))],
      },
      signal,
    );
    const { location } = headers;
    if (location === undefined)
      throw new StorageError(`${what}: no address to send it to`, { code: "STORAGE_PROTOCOL" });
    return new Session(client, what, new URL(location));
  }

  /** Resolves when the service has the piece: with the new object when it was the last one. `crc32c` is that of all so far. */
  async send({ bytes, last }: Piece, crc32c: string, signal: AbortSignal): Promise<GcsAnswer["resource"]> {
    const tries = new Tries(this.client.limits, signal);
    const from = this.#sent;
    const to = from + bytes.length;
    const total = last ? String(to) : "*";
    for (let at = from; at < to || last;) {
      const piece = { bytes: bytes.subarray(at - from), at, total, crc32c: last ? crc32c : undefined };
      const answer = await this.#put(piece, signal).catch(async (error: unknown) => {
        // Of what the service has refused as corrupted, nothing is left to go on with.
        if (error instanceof StorageError && error.code === "STORAGE_CHECKSUM") throw error;
        await tries.again(error);
        return this.#status(tries, signal);
      });
      if (answer.status !== 308) {
        if (last) return answer.resource;
        throw new StorageError(`${this.what}: it ended before its last piece`, { code: "STORAGE_PROTOCOL" });
      }
      const received = receivedOf(answer);
      if (received < at || received > to) {
        throw new StorageError(`${this.what}: ${at} bytes were sent, ${received} are there`, {
          code: "STORAGE_PROTOCOL",
        });
      }
      tries.progress(received - at);
      at = received;
    }
    this.#sent = to;
    return {};
  }

  /** Lets the service forget what came. */
  async cancel(): Promise<void> {
    const request = { what: this.what, method: "DELETE", url: this.url } as const;
    await this.client.ask(request, AbortSignal.timeout(cancelMs)).catch(() => undefined); // forgotten by itself after a week
  }

  /** How much has come, or the object when all has. */
  async #status(tries: Tries, signal: AbortSignal): Promise<GcsAnswer> {
    for (;;) {
      try {
        return await this.#ask("bytes */*", new Uint8Array(), {}, signal);
      } catch (error) {
        await tries.again(error);
      }
    }
  }

  /** Throws when the service has taken nothing. */
  async #put({ bytes, at, total, crc32c }: Rest, signal: AbortSignal): Promise<GcsAnswer> {
    const range = bytes.length === 0 ? "*" : `${at}-${at + bytes.length - 1}`;
    const hash = crc32c === undefined ? {} : { "x-goog-hash": `crc32c=${crc32c}` };
    const answer = await this.#ask(`bytes ${range}/${total}`, bytes, hash, signal);
    if (answer.status !== 308 || receivedOf(answer) > at) return answer;
    throw new StorageError(`${this.what}: nothing of a piece was taken`, { code: "STORAGE_INCOMPLETE" });
  }

  #ask(range: string, body: Uint8Array, headers: Readonly<Record<string, string>>, signal: AbortSignal) {
    const all = { ...headers, "content-range": range };
    return this.client.ask({ what: this.what, method: "PUT", url: this.url, headers: all, body: [body] }, signal);
  }
}

/** Absent when nothing has come. */
function receivedOf({ headers }: GcsAnswer): number {
  const [, last] = /^bytes=0-(\d+)$/.exec(headers.range ?? "") ?? [];
  return last === undefined ? 0 : Number(last) + 1;
}
