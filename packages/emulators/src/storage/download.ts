import type { FileHandle } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { rangeNotSatisfiable } from "./errors.js";
import { etagOf, type ObjectRecord } from "./record.js";

/** Sends an object's bytes: whole, or one range; gzip-encoded ones unpacked for a client that does not take gzip. */
export async function sendMedia(
  request: IncomingMessage,
  response: ServerResponse,
  record: ObjectRecord,
  source: FileHandle,
): Promise<void> {
  const unpack =
    record.settings.contentEncoding === "gzip" && !/\bgzip\b/.test(request.headers["accept-encoding"] ?? "");
  const range = unpack ? undefined : parseRange(request.headers.range, record.size);
  const length = range === undefined ? record.size : range.last - range.first + 1;
  response.statusCode = range === undefined ? 200 : 206;
  for (const [key, value] of Object.entries(mediaHeaders(record))) response.setHeader(key, value);
  if (record.settings.contentEncoding !== undefined && !unpack) {
    response.setHeader("content-encoding", record.settings.contentEncoding);
  }
  if (range !== undefined) response.setHeader("content-range", `bytes ${range.first}-${range.last}/${record.size}`);
  if (!unpack) response.setHeader("content-length", length);
  if (length === 0) {
    response.end();
    return;
  }
  const bounds = range === undefined ? { start: 0, end: record.size - 1 } : { start: range.first, end: range.last };
  const file = source.createReadStream({ ...bounds, autoClose: false });
  if (unpack) await pipeline(file, createGunzip(), response);
  else await pipeline(file, response);
}

function mediaHeaders(record: ObjectRecord): Record<string, string> {
  const { settings } = record;
  const headers: Record<string, string> = {
    "content-type": headerText(settings.contentType ?? "application/octet-stream"),
    "accept-ranges": "bytes",
    etag: etagOf(record),
    "last-modified": new Date(record.updated).toUTCString(),
    "x-goog-hash": `crc32c=${record.crc32c},md5=${record.md5Hash}`,
    "x-goog-generation": record.generation,
    "x-goog-metageneration": record.metageneration,
    "x-goog-storage-class": "STANDARD",
    "x-goog-stored-content-encoding": settings.contentEncoding ?? "identity",
    "x-goog-stored-content-length": String(record.size),
  };
  if (settings.contentDisposition !== undefined)
    headers["content-disposition"] = headerText(settings.contentDisposition);
  if (settings.contentLanguage !== undefined) headers["content-language"] = settings.contentLanguage;
  if (settings.cacheControl !== undefined) headers["cache-control"] = headerText(settings.cacheControl);
  return headers;
}

function parseRange(header: string | undefined, size: number): { first: number; last: number } | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  if (match === null) return undefined; // a form the service ignores as well
  const [, from = "", to = ""] = match;
  if (from === "" && to === "") return undefined;
  const first = from === "" ? Math.max(size - Number(to), 0) : Number(from);
  const last = from === "" || to === "" ? size - 1 : Math.min(Number(to), size - 1);
  if (first >= size || last < first) throw rangeNotSatisfiable(`The requested range cannot be satisfied: ${header}`);
  return { first, last };
}

/** Headers carry bytes: other text goes as UTF-8. */
function headerText(text: string): string {
  return Buffer.from(text).toString("latin1");
}
