import type { IncomingHttpHeaders } from "node:http";
import { tooLarge } from "../errors.js";
import type { OpenFile } from "../store/open-file.js";

/** One request, whether it came by itself or within a batch. */
export interface Call {
  readonly method: string;
  /** Decoded path segments below the API's prefix, e.g. `["b", "my-bucket", "o", "a/b.wav"]`. */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
  /** Below /upload. */
  readonly upload: boolean;
  readonly headers: IncomingHttpHeaders;
  readonly body: AsyncIterable<Uint8Array>;
  /** Scheme and host of the request, e.g. `http://127.0.0.1:9199`. */
  readonly origin: string;
  /** Path and query as they came. */
  readonly url: string;
}

export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** What is sent: a JSON resource, a text as it stands, or an object's bytes. */
  readonly json?: unknown;
  readonly text?: string;
  readonly media?: Media;
  /** Something was changed. */
  readonly changed?: boolean;
}

/** Bytes of an open file, which whoever sends them closes. */
export interface Media {
  readonly file: OpenFile;
  /** The first and the last byte; the last is before the first when there is none. */
  readonly first: number;
  readonly last: number;
  /** They are sent unpacked. */
  readonly unpack: boolean;
}

export const json = (value: unknown): Reply => ({ status: 200, json: value });
/** The answer to a request that changed what it describes. */
export const changed = (value: unknown): Reply => ({ status: 200, json: value, changed: true });
export const nothing: Reply = { status: 204, changed: true };

/** Whether a parameter of the query is set. The Python client writes True. */
export function isSet({ query }: Pick<Call, "query">, parameter: string): boolean {
  return query.get(parameter)?.toLowerCase() === "true";
}

/** Reads a body to its end. Throws 413 when it is longer than `max` bytes. */
export async function readBody(body: AsyncIterable<Uint8Array>, max = 1024 * 1024): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > max) throw tooLarge(`the body is longer than ${max} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
