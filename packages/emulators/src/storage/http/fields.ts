import { ApiError } from "../errors.js";

/** A selection of fields: what is kept of each key; `"*"` is any key. Null keeps all. */
type Selection = Map<string, Selection | null>;

const maxDepth = 20;
/** Maps whose keys are the client's own: any key is a field of theirs. */
const maps = ["metadata", "labels"];
/** What has fields, by the API's reference. */
const containers = ["items", "resource", "iamConfiguration", "uniformBucketLevelAccess", "bucketPolicyOnly"];
const settings = ["versioning", "softDeletePolicy", "hierarchicalNamespace", "owner", "acl", "defaultObjectAcl"];
const more = [
  "autoclass",
  "billing",
  "cors",
  "encryption",
  "lifecycle",
  "logging",
  "objectRetention",
  "retentionPolicy",
];
const others = ["website", "customPlacementConfig", "ipFilter", "customerEncryption", "retention", "contexts"];
const withFields = new Set([...maps, ...containers, ...settings, ...more, ...others]);
/** What has none. */
const texts = new Set(
  `kind id selfLink mediaLink name bucket generation metageneration storageClass size md5Hash crc32c componentCount etag
  timeCreated updated timeStorageClassUpdated timeDeleted softDeleteTime hardDeleteTime timeFinalized contentType
  contentEncoding contentDisposition contentLanguage cacheControl customTime temporaryHold eventBasedHold
  retentionExpirationTime kmsKeyName nextPageToken prefixes projectNumber location locationType rpo satisfiesPZS
  satisfiesPZI defaultEventBasedHold totalBytesRewritten objectSize done rewriteToken restoreToken role entity enabled
  lockedTime retentionDurationSeconds effectiveTime publicAccessPrevention isLocked retentionPeriod requesterPays
  defaultKmsKeyName mode retainUntilTime encryptionAlgorithm keySha256 entityId domain email toggleTime`.split(/\s+/),
);

/** What keeps of a resource the `fields` that are asked for: https://cloud.google.com/storage/docs/json_api#partial-response */
export function selector(fields: string | null): (resource: unknown) => unknown {
  if (fields === null || fields === "") return (resource) => resource;
  const selection = new Parser(fields).all();
  return (resource) => select(resource, selection);
}

function select(value: unknown, selection: Selection | null): unknown {
  if (selection === null || typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => select(item, selection));
  const kept = Object.entries(value).flatMap(([key, inner]) => {
    const below = selection.get(key) ?? selection.get("*");
    const wanted = selection.has(key) || selection.has("*");
    return wanted ? [[key, select(inner, below ?? null)] as const] : [];
  });
  return Object.fromEntries(kept);
}

/** `a,b/c,items(name,owner/entity),*` */
class Parser {
  #at = 0;

  constructor(readonly text: string) {}

  all(): Selection {
    const selection = this.#list(0);
    if (this.#at < this.text.length) throw this.#invalid();
    return selection;
  }

  #list(depth: number, inMap = false): Selection {
    if (depth > maxDepth) throw this.#invalid();
    const selection: Selection = new Map();
    do this.#path(selection, depth, inMap);
    while (this.#takes(","));
    return selection;
  }

  #path(selection: Selection, depth: number, inMap: boolean): void {
    const key = this.#key();
    const known = inMap || key === "*" || withFields.has(key) || texts.has(key);
    const opens = ["/", "("].includes(this.text[this.#at] ?? "");
    if (!known || (opens && (inMap || texts.has(key)))) throw this.#invalid();
    const isMap = maps.includes(key);
    if (this.#takes("/")) {
      if (depth > maxDepth) throw this.#invalid();
      const below: Selection = new Map();
      this.#path(below, depth + 1, isMap);
      merge(selection, key, below);
    } else if (this.#takes("(")) {
      const below = this.#list(depth + 1, isMap);
      if (!this.#takes(")")) throw this.#invalid();
      merge(selection, key, below);
    } else {
      selection.set(key, null);
    }
  }

  #key(): string {
    const match = /^\s*([^\s,/()]+)\s*/.exec(this.text.slice(this.#at));
    if (match?.[1] === undefined) throw this.#invalid();
    this.#at += match[0].length;
    return match[1];
  }

  #takes(character: string): boolean {
    if (this.text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #invalid(): ApiError {
    return new ApiError(400, "invalidParameter", `Invalid field selection ${this.text}`);
  }
}

/** What is selected whole stays so. */
function merge(selection: Selection, key: string, below: Selection | null): void {
  const there = selection.get(key);
  if (below === null) selection.set(key, null);
  else if (there === undefined) selection.set(key, below);
  else if (there !== null) for (const [inner, deeper] of below) merge(there, inner, deeper);
}
