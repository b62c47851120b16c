import { badRequest, notFound, notImplemented } from "../errors.js";
import { type Call, changed, json } from "../http/call.js";
import { asObject, optionalString, readResource, type Resource } from "../http/resource.js";
import { checkPreconditions, preconditionsOf, sourcePreconditionsOf } from "../preconditions.js";
import type { ObjectRecord } from "../store/record.js";
import { type ObjectStore, type OpenObject, stateOf } from "../store/store.js";
import type { Handler } from "./handler.js";
import { generationOf } from "./objects.js";
import { defaultClass, defaultLocation, objectResource, settingsOf } from "./resources.js";
import type { Target } from "./rewrites.js";

const mebi = 1024 * 1024;
const maxSources = 32;

export const copyObject: Handler = async (
  { store, rewrites },
  call,
  bucket = "",
  name = "",
  toBucket = "",
  to = "",
) => {
  const { target, source } = await copyOf(store, call, [bucket, name], [toBucket, to], "storage.objects.copy");
  return changed(objectResource(await rewrites.copy(source, target), call.origin));
};

export const rewriteObject: Handler = async (service, call, bucket = "", name = "", toBucket = "", to = "") => {
  const { store, rewrites } = service;
  const max = maxBytesOf(call);
  const { target, source } = await copyOf(store, call, [bucket, name], [toBucket, to], "storage.objects.rewrite");
  const limit = limitOf(store, source, target, max);
  const rewritten = await rewrites.some(source, target, limit, call.query.get("rewriteToken"));
  const objectSize = String(rewritten.source.size);
  const kind = "storage#rewriteResponse";
  if (!rewritten.done) {
    const { bytes, token } = rewritten;
    return json({ kind, totalBytesRewritten: String(bytes), objectSize, done: false, rewriteToken: token });
  }
  const resource = objectResource(rewritten.record, call.origin);
  return changed({ kind, totalBytesRewritten: objectSize, objectSize, done: true, resource });
};

/** The limit counts between locations or storage classes alone. Closes the source where it fails. */
function limitOf(store: ObjectStore, { record, file }: OpenObject, target: Target, max: number): number {
  try {
    return isNear(store, record, target) ? Infinity : max;
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Whether a copy stays in its location and its storage class. */
function isNear(store: ObjectStore, record: ObjectRecord, target: Target): boolean {
  const from = store.buckets.get(record.bucket).settings;
  const to = store.buckets.get(target.bucket).settings;
  const toClass = target.settings.storageClass ?? to.storageClass ?? defaultClass;
  const isNearby = (from.location ?? defaultLocation) === (to.location ?? defaultLocation);
  return isNearby && (record.settings.storageClass ?? defaultClass) === toClass;
}

function maxBytesOf(call: Call): number {
  const text = call.query.get("maxBytesRewrittenPerCall");
  if (text === null) return Infinity;
  const max = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (max > 0 && max % mebi === 0) return max;
  throw badRequest(`maxBytesRewrittenPerCall is a multiple of ${mebi}, not ${text}`);
}

/** What a copy is of, opened, and where it goes. Without a resource in the body the source's settings go with it. */
async function copyOf(
  store: ObjectStore,
  call: Call,
  [bucket, name]: readonly [string, string],
  [toBucket, to]: readonly [string, string],
  api: string,
): Promise<{ readonly source: OpenObject; readonly target: Target }> {
  const body = await readResource(call);
  const own = Object.keys(body).length === 0 ? undefined : settingsOf(body, api);
  store.buckets.check(toBucket);
  const source = await store.open(bucket, name, generationOf(call, "sourceGeneration"));
  try {
    checkPreconditions(sourcePreconditionsOf(call), stateOf(source.record));
    const settings = own ?? source.record.settings;
    return { source, target: { bucket: toBucket, name: to, settings, conditions: preconditionsOf(call) } };
  } catch (error) {
    source.file.close();
    throw error;
  }
}

export const moveObject: Handler = async ({ store }, call, bucket = "", from = "", to = "") => {
  const conditions = { source: sourcePreconditionsOf(call), target: preconditionsOf(call) };
  const record = await store.move(bucket, from, to, conditions, generationOf(call, "sourceGeneration"));
  return changed(objectResource(record, call.origin));
};

/** https://cloud.google.com/storage/docs/composite-objects */
export const composeObject: Handler = async ({ store }, call, bucket = "", name = "") => {
  const body = await readResource(call);
  const sources = body["sourceObjects"];
  if (!Array.isArray(sources) || sources.length === 0 || sources.length > maxSources) {
    throw badRequest(`a compose request names 1 to ${maxSources} source objects`);
  }
  if (body["deleteSourceObjects"] === true) throw notImplemented("storage.objects.compose with deleteSourceObjects");
  const destination = body["destination"] === undefined ? {} : asObject(body["destination"], "destination");
  const settings = settingsOf(destination, "storage.objects.compose");
  store.buckets.check(bucket);
  const file = store.stage();
  try {
    let componentCount = 0;
    for (const source of sources) {
      const { record, file: opened } = await openSource(store, bucket, asObject(source, "a source object"));
      await file.append(opened.bytes(0, record.size)).finally(() => {
        opened.close();
      });
      componentCount += record.componentCount ?? 1;
    }
    const object = { staged: file.finish(), settings, componentCount };
    return changed(objectResource(await store.commit(bucket, name, object, preconditionsOf(call)), call.origin));
  } finally {
    file.discard();
  }
};

async function openSource(store: ObjectStore, bucket: string, source: Resource): Promise<OpenObject> {
  const name = optionalString(source, "name");
  if (name === undefined) throw badRequest("a source object has a name");
  const opened = await store.open(bucket, name, numberText(source, "generation") ?? null).catch(missing);
  try {
    const conditions = asObject(source["objectPreconditions"] ?? {}, "objectPreconditions");
    const ifGenerationMatch = numberText(conditions, "ifGenerationMatch");
    checkPreconditions(ifGenerationMatch === undefined ? {} : { ifGenerationMatch }, stateOf(opened.record));
    return opened;
  } catch (error) {
    opened.file.close();
    throw error;
  }
}

/** A number of 64 bits, which JSON carries as a string, or as a number. */
function numberText(resource: Resource, key: string): string | undefined {
  const value = resource[key];
  if (value === undefined || value === null) return undefined;
  if (Number.isSafeInteger(value) || (typeof value === "string" && /^\d{1,19}$/.test(value)))
    return BigInt(value as string | number).toString();
  throw badRequest(`${key} is a number, not ${JSON.stringify(value)}`);
}

function missing(error: unknown): never {
  if ((error as { status?: number }).status === 404)
    throw notFound("A source object of the compose request was not found");
  throw error;
}
