import { badRequest, notModified, preconditionFailed } from "./errors.js";
import type { Call } from "./http/call.js";

/** https://cloud.google.com/storage/docs/request-preconditions */
export interface Preconditions {
  readonly ifGenerationMatch?: string;
  readonly ifGenerationNotMatch?: string;
  readonly ifMetagenerationMatch?: string;
  readonly ifMetagenerationNotMatch?: string;
  /** Entity tags of the headers If-Match and If-None-Match. */
  readonly ifMatch?: readonly string[];
  readonly ifNoneMatch?: readonly string[];
}

/** What they are about. An absent object has generation 0. */
export interface State {
  readonly generation?: string;
  readonly metageneration: string;
  readonly etag?: string;
}

const keys = [
  "ifGenerationMatch",
  "ifGenerationNotMatch",
  "ifMetagenerationMatch",
  "ifMetagenerationNotMatch",
] as const;

/** Those of a request: its query and the headers If-Match and If-None-Match. Throws 400 for what is no number. */
export function preconditionsOf({ query, headers }: Call): Preconditions {
  const tags = (header: string | undefined) =>
    header === undefined ? undefined : header.split(",").map((tag) => tag.trim().replace(/^(?:W\/)?"(.*)"$/, "$1"));
  const ifMatch = tags(headers["if-match"]);
  const ifNoneMatch = tags(headers["if-none-match"]);
  return {
    ...fromQuery(query, false),
    ...(ifMatch === undefined ? {} : { ifMatch }),
    ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }),
  };
}

/** Those about the source of a copy: ifSourceGenerationMatch and so on. */
export function sourcePreconditionsOf({ query }: Call): Preconditions {
  return fromQuery(query, true);
}

function fromQuery(query: URLSearchParams, source: boolean): Preconditions {
  const found: Record<string, string> = {};
  for (const key of keys) {
    const name = source ? key.replace("if", "ifSource") : key;
    const value = query.get(name);
    if (value === null) continue;
    if (!/^\d{1,19}$/.test(value)) throw badRequest(`${name} is a number, not "${value}"`);
    found[key] = BigInt(value).toString();
  }
  return found;
}

/** Throws 412 when the object or bucket, as it is now, is not what was to match, 304 when it is what was not to match. */
export function checkPreconditions(conditions: Preconditions, current: State | undefined): void {
  const generation = current?.generation ?? "0";
  const metageneration = current?.metageneration ?? "0";
  const etag = current?.etag ?? "";
  const matches = (tags: readonly string[] | undefined) =>
    current !== undefined && tags?.some((tag) => tag === "*" || tag === etag) === true;
  const differs =
    (conditions.ifGenerationMatch !== undefined && conditions.ifGenerationMatch !== generation) ||
    (conditions.ifMetagenerationMatch !== undefined && conditions.ifMetagenerationMatch !== metageneration) ||
    (conditions.ifMatch !== undefined && !matches(conditions.ifMatch));
  if (differs) throw preconditionFailed("At least one of the pre-conditions you specified did not hold.");
  const same =
    conditions.ifGenerationNotMatch === generation ||
    (current !== undefined && conditions.ifMetagenerationNotMatch === metageneration) ||
    matches(conditions.ifNoneMatch);
  if (same) throw notModified();
}
