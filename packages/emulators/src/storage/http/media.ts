import { rangeNotSatisfiable } from "../errors.js";
import type { OpenFile } from "../store/open-file.js";
import { etagOf, type ObjectRecord } from "../store/record.js";
import type { Call, Reply } from "./call.js";

/**
 * An object's bytes: whole, or one range; those of gzip unpacked for a client that does not take gzip
 * (https://cloud.google.com/storage/docs/transcoding). Whoever sends the answer closes the file.
 */
export function mediaReply(call: Call, record: ObjectRecord, file: OpenFile): Reply {
  const { settings, size } = record;
  const unpack =
    settings.contentEncoding === "gzip" &&
    file.isGzip() &&
    !/\bno-transform\b/.test(settings.cacheControl ?? "") &&
    !/\bgzip\b/.test(call.headers["accept-encoding"] ?? "");
  const range = unpack ? undefined : parseRange(call.headers.range, size);
  const { first, last } = range ?? { first: 0, last: size - 1 };
  const headers: Record<string, string> = {
    ...mediaHeaders(record),
    ...(unpack
      ? { warning: "214 UploadServer gunzipped", "x-guploader-response-body-transformations": "gunzipped" }
      : { "content-length": String(last - first + 1) }),
    ...(settings.contentEncoding === undefined || unpack ? {} : { "content-encoding": settings.contentEncoding }),
    ...(range === undefined ? {} : { "content-range": `bytes ${first}-${last}/${size}` }),
  };
  return { status: range === undefined ? 200 : 206, headers, media: { file, first, last, unpack } };
}

function mediaHeaders(record: ObjectRecord): Record<string, string> {
  const { settings } = record;
  const headers: Record<string, string> = {
    "content-type": headerText(settings.contentType ?? "application/octet-stream"),
    "accept-ranges": "bytes",
    etag: etagOf(record),
    "last-modified": new Date(record.updated).toUTCString(),
    "x-goog-hash": [
      `crc32c=${record.crc32c}`,
      ...(record.md5Hash === undefined ? [] : [`md5=${record.md5Hash}`]),
    ].join(),
    "x-goog-generation": record.generation,
    "x-goog-metageneration": record.metageneration,
    "x-goog-storage-class": settings.storageClass ?? "STANDARD",
    "x-goog-stored-content-encoding": headerText(settings.contentEncoding ?? "identity"),
    "x-goog-stored-content-length": String(record.size),
  };
  const { contentDisposition, contentLanguage, cacheControl } = settings;
  if (contentDisposition !== undefined) headers["content-disposition"] = headerText(contentDisposition);
  if (contentLanguage !== undefined) headers["content-language"] = headerText(contentLanguage);
  if (cacheControl !== undefined) headers["cache-control"] = headerText(cacheControl);
  return headers;
}

function parseRange(header: string | undefined, size: number): { first: number; last: number } | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? "");
  if (match === null) return undefined; // a form the service ignores as well
  const [, from = "", to = ""] = match;
  if (from === "" && to === "") return undefined;
  const first = from === "" ? Math.max(size - Number(to), 0) : Number(from);
  const last = from === "" || to === "" ? size - 1 : Math.min(Number(to), size - 1);
  if (first >= size || last < first)
    throw rangeNotSatisfiable(`The requested range cannot be satisfied: ${header}`, size);
  return { first, last };
}

/** Headers carry bytes: other text goes as UTF-8, without what would end a header. */
function headerText(text: string): string {
  return Buffer.from(text)
    .toString("latin1")
    .replaceAll(/[\u0000-\u0008\u000a-\u001f\u007f]/g, " ");
}
