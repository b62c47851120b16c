import { notImplemented } from "./errors.js";
import type { ObjectRecord } from "./record.js";
import type { FileStore } from "./store.js";

export interface Listing {
  readonly items: ObjectRecord[];
  readonly prefixes: string[];
  readonly nextPageToken: string | undefined;
}

const unsupported = ["versions", "softDeleted", "matchGlob", "startOffset", "endOffset", "includeTrailingDelimiter"];

/** https://cloud.google.com/storage/docs/json_api/v1/objects/list */
export async function listObjects(store: FileStore, bucket: string, query: URLSearchParams): Promise<Listing> {
  for (const key of unsupported) {
    const value = query.get(key);
    if (value !== null && value !== "" && value !== "false") throw notImplemented(`objects.list with ${key}`);
  }
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  const size = Math.min(Math.max(Number(query.get("maxResults") ?? 1_000) || 1_000, 1), 1_000);
  const after = Buffer.from(query.get("pageToken") ?? "", "base64url").toString();
  const entries = new Map<string, ObjectRecord | undefined>();
  for (const record of await store.list(bucket, prefix)) {
    const cut = delimiter === "" ? -1 : record.name.indexOf(delimiter, prefix.length);
    if (cut < 0) entries.set(record.name, record);
    else entries.set(record.name.slice(0, cut + delimiter.length), undefined);
  }
  const rest = [...entries].filter(([name]) => Buffer.compare(Buffer.from(name), Buffer.from(after)) > 0);
  const page = rest.slice(0, size);
  const last = page.at(-1)?.[0];
  return {
    items: page.flatMap(([, record]) => (record === undefined ? [] : [record])),
    prefixes: page.flatMap(([name, record]) => (record === undefined ? [name] : [])),
    nextPageToken: rest.length > size && last !== undefined ? Buffer.from(last).toString("base64url") : undefined,
  };
}
