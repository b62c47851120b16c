import { badRequest, notImplemented } from "../errors.js";
import { asksFor, asObject, optionalString, type Resource } from "../http/resource.js";
import { bucketEtag, type BucketRecord, type BucketSettings } from "../store/buckets.js";
import { etagOf, type ObjectRecord, type ObjectSettings } from "../store/record.js";

// ---- objects

const texts = [
  "contentType",
  "contentEncoding",
  "contentDisposition",
  "contentLanguage",
  "cacheControl",
  "customTime",
  "storageClass",
] as const;
// https://cloud.google.com/storage/quotas#objects: of custom metadata.
const maxSettingBytes = 8 * 1024;
const unsupportedOfObjects = ["acl", "temporaryHold", "eventBasedHold", "retention", "kmsKeyName", "contexts"];
export const defaultClass = "STANDARD";
export const defaultLocation = "US";
// https://cloud.google.com/storage/docs/storage-classes#legacy
const storageClasses = ["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE", "MULTI_REGIONAL", "REGIONAL"];

/** Reads what a client may set out of an object resource; the rest of it is not the client's to set. */
export function settingsOf(resource: Resource, call: string): ObjectSettings {
  return changedSettings({}, resource, call);
}

/** Applies a patch: null takes a setting or a metadata key away. */
export function changedSettings(old: ObjectSettings, patch: Resource, call: string): ObjectSettings {
  refuseUnsupported(patch, unsupportedOfObjects, call);
  const changed: Record<string, unknown> = { ...old };
  for (const key of texts) {
    if (patch[key] === undefined) continue;
    const value = optionalString(patch, key);
    if (value !== undefined && Buffer.byteLength(value) > maxSettingBytes) throw badRequest(`${key} is too long`);
    if (value === undefined) Reflect.deleteProperty(changed, key);
    else changed[key] = value;
  }
  const { customTime, storageClass } = changed as ObjectSettings;
  if (customTime !== undefined && Number.isNaN(Date.parse(customTime))) throw badRequest(`not a time: ${customTime}`);
  if (storageClass !== undefined) checkStorageClass(storageClass);
  const metadata = mapOf(old.metadata, patch["metadata"], "metadata");
  if (metadata === undefined) Reflect.deleteProperty(changed, "metadata");
  else changed["metadata"] = metadata;
  return changed;
}

/** A map of strings after a patch. Undefined when nothing is in it. */
function mapOf(old: Readonly<Record<string, string>> | undefined, patch: unknown, what: string) {
  if (patch === undefined) return old;
  if (patch === null) return undefined;
  const merged = new Map(Object.entries(old ?? {}));
  for (const [key, value] of Object.entries(asObject(patch, what))) {
    if (value === null) merged.delete(key);
    else if (typeof value === "string") merged.set(key, value);
    else if (typeof value === "number" || typeof value === "boolean") merged.set(key, String(value));
    else throw badRequest(`${what}.${key} is a string`);
  }
  const bytes = [...merged].reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value), 0);
  if (bytes > maxSettingBytes) throw badRequest(`${what} has at most ${maxSettingBytes} bytes, not ${bytes}`);
  return merged.size === 0 ? undefined : Object.fromEntries(merged);
}

/** The object resource: https://cloud.google.com/storage/docs/json_api/v1/objects */
export function objectResource(record: ObjectRecord, origin: string): Record<string, unknown> {
  const { bucket, name, generation, metageneration, settings } = record;
  const path = `b/${bucket}/o/${encodeURIComponent(name)}`;
  return {
    kind: "storage#object",
    id: `${bucket}/${name}/${generation}`,
    selfLink: `${origin}/storage/v1/${path}`,
    mediaLink: `${origin}/download/storage/v1/${path}?generation=${generation}&alt=media`,
    name,
    bucket,
    generation,
    metageneration,
    storageClass: defaultClass,
    size: String(record.size),
    ...(record.md5Hash === undefined ? {} : { md5Hash: record.md5Hash }),
    crc32c: record.crc32c,
    ...(record.componentCount === undefined ? {} : { componentCount: record.componentCount }),
    etag: etagOf(record),
    timeCreated: record.timeCreated,
    updated: record.updated,
    timeStorageClassUpdated: record.timeCreated,
    ...(record.timeDeleted === undefined ? {} : { timeDeleted: record.timeDeleted }),
    ...(record.softDeleteTime === undefined ? {} : { softDeleteTime: record.softDeleteTime }),
    ...(record.hardDeleteTime === undefined ? {} : { hardDeleteTime: record.hardDeleteTime }),
    ...settings,
  };
}

// ---- buckets

const unsupportedOfBuckets = [
  "acl",
  "defaultObjectAcl",
  "autoclass",
  "billing",
  "cors",
  "customPlacementConfig",
  "defaultEventBasedHold",
  "encryption",
  "hierarchicalNamespace",
  "ipFilter",
  "lifecycle",
  "logging",
  "objectRetention",
  "retentionPolicy",
  "website",
];
const day = 86_400;

/** Reads what a client may set out of a bucket resource. */
export function bucketSettingsOf(resource: Resource, call: string): BucketSettings {
  const location = optionalString(resource, "location")?.toUpperCase();
  const settings = changedBucket({}, resource, call);
  return location === undefined ? settings : { location, ...settings };
}

/** Applies a patch: null takes a setting or a label away. */
export function changedBucket(old: BucketSettings, patch: Resource, call: string): BucketSettings {
  refuseUnsupported(patch, unsupportedOfBuckets, call);
  if (asksFor(patch["rpo"]) && patch["rpo"] !== "DEFAULT") throw notImplemented(`${call} with rpo`);
  const changed: Record<string, unknown> = { ...old };
  const set = (key: keyof BucketSettings, read: (value: unknown) => unknown) => {
    if (patch[key] === undefined) return;
    const value = patch[key] === null ? undefined : read(patch[key]);
    if (value === undefined) Reflect.deleteProperty(changed, key);
    else changed[key] = value;
  };
  set("storageClass", () => checkStorageClass(optionalString(patch, "storageClass") ?? ""));
  set("labels", (value) => mapOf(old.labels, value, "labels"));
  set("versioning", (value) => {
    const { enabled = false } = asObject(value, "versioning");
    if (typeof enabled !== "boolean") throw badRequest("versioning.enabled is true or false");
    return { enabled };
  });
  set("softDeletePolicy", softDeletePolicy);
  set("iamConfiguration", (value) => asObject(value, "iamConfiguration"));
  const written = patch["iamConfiguration"] === undefined ? "" : nestedText(patch["iamConfiguration"]);
  if (written.length > maxSettingBytes) throw badRequest("iamConfiguration is too long");
  return changed;
}

/** JSON of a value that may be too deep for it. */
function nestedText(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch {
    throw badRequest("iamConfiguration is too deep");
  }
}

/** https://cloud.google.com/storage/docs/soft-delete: 7 to 90 days, or 0 for off. */
function softDeletePolicy(value: unknown): BucketSettings["softDeletePolicy"] {
  const seconds = Number(asObject(value, "softDeletePolicy")["retentionDurationSeconds"] ?? 0);
  if (seconds !== 0 && !(seconds >= 7 * day && seconds <= 90 * day)) {
    throw badRequest(`softDeletePolicy.retentionDurationSeconds is 0, or 7 to 90 days, not ${seconds} seconds`);
  }
  return { retentionDurationSeconds: String(Math.trunc(seconds)), effectiveTime: new Date().toISOString() };
}

function checkStorageClass(name: string): string {
  if (!storageClasses.includes(name)) throw badRequest(`not a storage class: ${JSON.stringify(name)}`);
  return name;
}

/** The bucket resource: https://cloud.google.com/storage/docs/json_api/v1/buckets */
export function bucketResource(record: BucketRecord, origin: string): Record<string, unknown> {
  const { name, metageneration, timeCreated, updated, settings } = record;
  return {
    kind: "storage#bucket",
    id: name,
    name,
    selfLink: `${origin}/storage/v1/b/${name}`,
    projectNumber: "0",
    generation: String(Date.parse(timeCreated) * 1_000),
    metageneration,
    location: defaultLocation,
    locationType: "multi-region",
    storageClass: defaultClass,
    rpo: "DEFAULT",
    timeCreated,
    updated,
    etag: bucketEtag(record),
    ...settings,
    iamConfiguration: {
      uniformBucketLevelAccess: { enabled: false },
      publicAccessPrevention: "inherited",
      ...(settings.iamConfiguration as object | undefined),
    },
  };
}

function refuseUnsupported(resource: Resource, keys: readonly string[], call: string): void {
  for (const key of keys) if (asksFor(resource[key])) throw notImplemented(`${call} with ${key}`);
}
