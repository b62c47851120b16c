import { ApiError, badRequest, notImplemented } from "../errors.js";
import { isSet } from "../http/call.js";
import type { ObjectRecord } from "../store/record.js";
import type { ObjectStore } from "../store/store.js";
import { glob } from "./glob.js";

export interface Listing {
  readonly items: readonly ObjectRecord[];
  readonly prefixes: readonly string[];
  readonly nextPageToken: string | undefined;
}

/** What a page is made of: an object, all its versions, or what names have in common. */
interface Entry {
  readonly name: string;
  readonly bytes: Buffer;
  readonly isPrefix: boolean;
}

const maxPage = 1_000;
/** Records that are read at a time. */
const atATime = 16;

/** One page of at most 1,000: https://cloud.google.com/storage/docs/json_api/v1/objects/list. Throws 400, 404, 501. */
export async function listObjects(store: ObjectStore, bucket: string, query: URLSearchParams): Promise<Listing> {
  if ((query.get("filter") ?? "") !== "") throw notImplemented("storage.objects.list with filter");
  const size = pageSize(query);
  const source = await sourceOf(store, bucket, query);
  const after = afterToken(query);
  const entries = collapse(source.names, query)
    .sort(inOrder)
    .filter((entry) => after === undefined || Buffer.compare(entry.bytes, after.name) >= 0);
  const items: ObjectRecord[] = [];
  const prefixes: string[] = [];
  let left = size;
  // The first entries may have gone meanwhile: as many are read as make a page.
  for (let at = 0; at < entries.length; at += atATime) {
    const some = entries.slice(at, at + atATime);
    const loaded = await Promise.all(some.map((e) => (e.isPrefix ? Promise.resolve([]) : source.records(e.name))));
    for (const [i, entry] of some.entries()) {
      const rest = (loaded[i] ?? []).filter((record) => isAfter(record, after, source.versions));
      const isNew = entry.isPrefix && after?.name.equals(entry.bytes) !== true;
      if (left === 0 && (rest.length > 0 || isNew))
        return { items, prefixes, nextPageToken: tokenBehind(items, prefixes) };
      if (isNew) {
        prefixes.push(entry.name);
        left -= 1;
      }
      const taken = rest.slice(0, left);
      items.push(...taken);
      left -= taken.length;
      if (taken.length < rest.length) return { items, prefixes, nextPageToken: tokenBehind(items, prefixes) };
    }
  }
  return { items, prefixes, nextPageToken: undefined };
}

export function pageSize(query: URLSearchParams): number {
  const wanted = query.get("maxResults");
  if (wanted === null || wanted === "") return maxPage;
  if (!/^\d{1,10}$/.test(wanted)) throw badRequest(`maxResults is a number, not "${wanted}"`);
  return Number(wanted) === 0 ? maxPage : Math.min(Number(wanted), maxPage);
}

interface Source {
  readonly names: Iterable<string>;
  /** What is listed of a name, in the order of generations. None when it is gone. */
  readonly records: (name: string) => Promise<readonly ObjectRecord[]>;
  /** Several of a name. */
  readonly versions: boolean;
}

async function sourceOf(store: ObjectStore, bucket: string, query: URLSearchParams): Promise<Source> {
  const prefix = query.get("prefix") ?? "";
  const versions = isSet({ query }, "versions");
  const softDeleted = isSet({ query }, "softDeleted");
  if (versions && softDeleted) throw badRequest("softDeleted cannot be listed together with versions");
  store.buckets.check(bucket);
  const live = async (name: string) => {
    // What somebody is writing by hand is not an object yet.
    const record = await store.get(bucket, name).catch((error: unknown) => {
      if (error instanceof ApiError && error.status === 503) return undefined;
      if ((error as NodeJS.ErrnoException).code === "EACCES") return undefined;
      throw error;
    });
    return record === undefined ? [] : [record];
  };
  if (!versions && !softDeleted) return { names: await store.names(bucket, prefix), records: live, versions: false };
  const kept = new Map<string, ObjectRecord[]>();
  for await (const record of store.versions.list(bucket)) {
    const wanted = record.name.startsWith(prefix) && (record.softDeleteTime !== undefined) === softDeleted;
    if (!wanted) continue;
    const records = kept.get(record.name) ?? [];
    records.push(record);
    kept.set(record.name, records);
  }
  const byGeneration = (records: readonly ObjectRecord[]) =>
    [...records].sort((a, b) => (BigInt(a.generation) < BigInt(b.generation) ? -1 : 1));
  const old = (name: string) => byGeneration(kept.get(name) ?? []);
  if (softDeleted) return { names: kept.keys(), records: (name) => Promise.resolve(old(name)), versions: true };
  return {
    versions: true,
    names: new Set([...kept.keys(), ...(await store.names(bucket, prefix))]),
    records: async (name) => {
      const [current] = await live(name);
      const before = old(name).filter((record) => record.generation !== current?.generation);
      return current === undefined ? before : [...before, current];
    },
  };
}

/** The names that are asked for, those with the delimiter behind the prefix cut to what they have in common. */
function collapse(names: Iterable<string>, query: URLSearchParams): Entry[] {
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  const trailing = isSet({ query }, "includeTrailingDelimiter");
  const start = bound(query.get("startOffset"));
  const end = bound(query.get("endOffset"));
  const pattern = query.get("matchGlob") ?? "";
  if (pattern !== "" && delimiter !== "" && delimiter !== "/") {
    throw badRequest("When listing with a glob pattern, the only supported delimiter is '/'.");
  }
  const matches = pattern === "" ? () => true : glob(pattern);
  const found = new Map<string, Entry>();
  const add = (name: string, isPrefix: boolean) => {
    const key = `${isPrefix ? "p" : "o"}${name}`;
    if (!found.has(key) && matches(name)) found.set(key, { name, bytes: Buffer.from(name), isPrefix });
  };
  for (const name of names) {
    if (!name.startsWith(prefix)) continue;
    const bytes = Buffer.from(name);
    if (start !== undefined && Buffer.compare(bytes, start) < 0) continue;
    if (end !== undefined && Buffer.compare(bytes, end) >= 0) continue;
    const cut = delimiter === "" ? -1 : name.indexOf(delimiter, prefix.length);
    if (cut < 0) add(name, false);
    else add(name.slice(0, cut + delimiter.length), true);
    if (cut >= 0 && trailing && cut + delimiter.length === name.length) add(name, false);
  }
  return [...found.values()];
}

function bound(text: string | null): Buffer | undefined {
  return text === null || text === "" ? undefined : Buffer.from(text);
}

/** By the bytes of UTF-8; a prefix comes before the object of the same name. */
function inOrder(a: Entry, b: Entry): number {
  return Buffer.compare(a.bytes, b.bytes) || Number(b.isPrefix) - Number(a.isPrefix);
}

/** A page ends behind a prefix or behind a generation of an object. */
interface Token {
  readonly name: Buffer;
  readonly generation: bigint | undefined;
}

function tokenBehind(items: readonly ObjectRecord[], prefixes: readonly string[]): string {
  const item = items.at(-1);
  const prefix = prefixes.at(-1) ?? "";
  const behindItem = item !== undefined && Buffer.compare(Buffer.from(item.name), Buffer.from(prefix)) >= 0;
  const token = behindItem ? [item.name, item.generation] : [prefix];
  return Buffer.from(JSON.stringify(token)).toString("base64url");
}

function afterToken(query: URLSearchParams): Token | undefined {
  const token = query.get("pageToken") ?? "";
  if (token === "") return undefined;
  try {
    const [name, generation] = JSON.parse(Buffer.from(token, "base64url").toString()) as [unknown, unknown];
    if (typeof name !== "string") throw new TypeError();
    return { name: Buffer.from(name), generation: typeof generation === "string" ? BigInt(generation) : undefined };
  } catch {
    throw badRequest(`not a pageToken: ${token}`);
  }
}

/** Whether a record comes behind the end of the last page. */
function isAfter(record: ObjectRecord, after: Token | undefined, versions: boolean): boolean {
  if (after === undefined) return true;
  const order = Buffer.compare(Buffer.from(record.name), after.name);
  if (order !== 0) return order > 0;
  // Behind a prefix, the object of the same name is still to come.
  if (after.generation === undefined) return true;
  // An object that was written anew since has been listed all the same.
  return versions && BigInt(record.generation) > after.generation;
}
