import { badRequest, noObject, notImplemented } from "../errors.js";
import { type Call, changed, isSet, json, nothing } from "../http/call.js";
import { mediaReply } from "../http/media.js";
import { readResource } from "../http/resource.js";
import { checkPreconditions, preconditionsOf } from "../preconditions.js";
import { stateOf } from "../store/store.js";
import type { Handler } from "./handler.js";
import { listObjects as list } from "./listing.js";
import { changedSettings, objectResource, settingsOf } from "./resources.js";

export const listObjects: Handler = async ({ store }, call, bucket = "") => {
  const listing = await list(store, bucket, call.query);
  return json({
    kind: "storage#objects",
    ...(listing.nextPageToken === undefined ? {} : { nextPageToken: listing.nextPageToken }),
    ...(listing.prefixes.length === 0 ? {} : { prefixes: listing.prefixes }),
    items: listing.items.map((record) => objectResource(record, call.origin)),
  });
};

export const getObject: Handler = async ({ store }, call, bucket = "", name = "") => {
  const generation = generationOf(call);
  if (isSet(call, "softDeleted")) {
    if (call.query.get("alt") === "media") throw notImplemented("storage.objects.get of a soft-deleted object's bytes");
    store.buckets.check(bucket);
    const record = generation === null ? undefined : store.versions.get(bucket, name, generation);
    if (record?.softDeleteTime === undefined) throw noObject(bucket, name);
    checkPreconditions(preconditionsOf(call), stateOf(record));
    return json(objectResource(record, call.origin));
  }
  if (call.query.get("alt") !== "media") {
    const record = await store.existing(bucket, name, generation);
    checkPreconditions(preconditionsOf(call), stateOf(record));
    return json(objectResource(record, call.origin));
  }
  const { record, file } = await store.open(bucket, name, generation);
  try {
    checkPreconditions(preconditionsOf(call), stateOf(record));
    return mediaReply(call, record, file);
  } catch (error) {
    file.close();
    throw error;
  }
};

export const patchObject: Handler = async ({ store }, call, bucket = "", name = "") => {
  const patch = await readResource(call);
  const record = await store.change(bucket, name, generationOf(call), preconditionsOf(call), (old) =>
    changedSettings(old, patch, "storage.objects.patch"),
  );
  return changed(objectResource(record, call.origin));
};

export const updateObject: Handler = async ({ store }, call, bucket = "", name = "") => {
  const resource = await readResource(call);
  const record = await store.change(bucket, name, generationOf(call), preconditionsOf(call), () =>
    settingsOf(resource, "storage.objects.update"),
  );
  return changed(objectResource(record, call.origin));
};

export const deleteObject: Handler = async ({ store }, call, bucket = "", name = "") => {
  await store.delete(bucket, name, preconditionsOf(call), generationOf(call));
  return nothing;
};

export const restoreObject: Handler = async ({ store, rewrites }, call, bucket = "", name = "") => {
  const generation = generationOf(call);
  if (generation === null) throw badRequest("a restore names the generation");
  store.buckets.check(bucket);
  const record = store.versions.get(bucket, name, generation);
  if (record?.softDeleteTime === undefined) throw noObject(bucket, name);
  const target = { bucket, name, settings: record.settings, conditions: preconditionsOf(call) };
  const restored = await rewrites.copy({ record, file: store.versions.open(record) }, target);
  return changed(objectResource(restored, call.origin));
};

/** Null when the call names none. Throws 400 for what is no generation. */
export function generationOf(call: Call, parameter = "generation"): string | null {
  const generation = call.query.get(parameter);
  if (generation === null || generation === "") return null;
  if (!/^\d{1,19}$/.test(generation)) throw badRequest(`${parameter} is a number, not "${generation}"`);
  return BigInt(generation).toString();
}
