/** What is known of an object besides its bytes. Stored as JSON beside the store, out of sight. */
export interface ObjectRecord {
  readonly bucket: string;
  readonly name: string;
  readonly generation: string;
  readonly metageneration: string;
  /** Bytes. */
  readonly size: number;
  /** Base64. */
  readonly md5Hash: string;
  /** Base64, big-endian. */
  readonly crc32c: string;
  /** ISO 8601. */
  readonly timeCreated: string;
  readonly updated: string;
  readonly settings: ObjectSettings;
}

/** What a client may set and change. */
export interface ObjectSettings {
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly contentDisposition?: string;
  readonly contentLanguage?: string;
  readonly cacheControl?: string;
  readonly customTime?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

const headers = [
  "contentType",
  "contentEncoding",
  "contentDisposition",
  "contentLanguage",
  "cacheControl",
  "customTime",
] as const;

/** Reads the settings out of an object resource as a client sends it; what else it holds is not the client's to set. */
export function settingsOf(resource: Readonly<Record<string, unknown>>): ObjectSettings {
  const settings: Record<string, unknown> = {};
  for (const key of headers) {
    if (typeof resource[key] === "string") settings[key] = resource[key];
  }
  const metadata = metadataOf(resource["metadata"]);
  if (metadata !== undefined) settings["metadata"] = metadata;
  return settings;
}

/** Applies a patch: null takes a setting or a metadata key away. */
export function patchSettings(old: ObjectSettings, patch: Readonly<Record<string, unknown>>): ObjectSettings {
  const merged: Record<string, unknown> = { ...old };
  for (const key of headers) {
    if (patch[key] === null) Reflect.deleteProperty(merged, key);
    else if (typeof patch[key] === "string") merged[key] = patch[key];
  }
  if (patch["metadata"] === null) Reflect.deleteProperty(merged, "metadata");
  else if (typeof patch["metadata"] === "object") {
    const all: Record<string, unknown> = { ...old.metadata, ...patch["metadata"] };
    const kept = Object.entries(all).filter(([, value]) => value !== null);
    merged["metadata"] = metadataOf(Object.fromEntries(kept));
  }
  return merged;
}

function metadataOf(value: unknown): Record<string, string> | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const entries = Object.entries(value).map(([key, v]) => [key, String(v)] as const);
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

/** The object resource of the JSON API. `origin` is scheme and host of the request. */
export function toResource(record: ObjectRecord, origin: string): Record<string, unknown> {
  const path = `b/${record.bucket}/o/${encodeURIComponent(record.name)}`;
  return {
    kind: "storage#object",
    id: `${record.bucket}/${record.name}/${record.generation}`,
    selfLink: `${origin}/storage/v1/${path}`,
    mediaLink: `${origin}/download/storage/v1/${path}?generation=${record.generation}&alt=media`,
    name: record.name,
    bucket: record.bucket,
    generation: record.generation,
    metageneration: record.metageneration,
    storageClass: "STANDARD",
    size: String(record.size),
    md5Hash: record.md5Hash,
    crc32c: record.crc32c,
    etag: etagOf(record),
    timeCreated: record.timeCreated,
    updated: record.updated,
    timeStorageClassUpdated: record.timeCreated,
    ...record.settings,
  };
}

export function etagOf(record: ObjectRecord): string {
  return Buffer.from(`${record.generation}/${record.metageneration}`).toString("base64");
}
