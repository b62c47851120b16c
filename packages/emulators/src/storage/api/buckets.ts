import { badRequest, notImplemented } from "../errors.js";
import { changed, isSet, json, nothing } from "../http/call.js";
import { optionalString, readResource } from "../http/resource.js";
import { checkPreconditions, preconditionsOf } from "../preconditions.js";
import { bucketEtag } from "../store/buckets.js";
import type { Handler } from "./handler.js";
import { pageSize } from "./listing.js";
import { bucketResource, bucketSettingsOf, changedBucket } from "./resources.js";

export const insertBucket: Handler = async ({ store }, call) => {
  const resource = await readResource(call);
  const name = optionalString(resource, "name");
  if (name === undefined) throw badRequest("a bucket needs a name");
  const record = await store.createBucket(name, bucketSettingsOf(resource, "storage.buckets.insert"));
  return changed(bucketResource(record, call.origin));
};

export const listBuckets: Handler = async ({ store }, call) => {
  if (isSet(call, "softDeleted")) throw notImplemented("storage.buckets.list with softDeleted");
  const prefix = call.query.get("prefix") ?? "";
  const after = Buffer.from(call.query.get("pageToken") ?? "", "base64url").toString();
  const size = pageSize(call.query);
  const names = (await store.buckets.names()).filter((name) => name.startsWith(prefix) && name > after);
  const page = names.slice(0, size);
  const items = page.flatMap((bucket) => {
    const record = store.buckets.find(bucket);
    return record === undefined ? [] : [bucketResource(record, call.origin)]; // deleted meanwhile
  });
  const last = page.at(-1) ?? "";
  return json({
    kind: "storage#buckets",
    ...(names.length > size ? { nextPageToken: Buffer.from(last).toString("base64url") } : {}),
    items,
  });
};

export const getBucket: Handler = ({ store }, call, name = "") => {
  if (isSet(call, "softDeleted")) throw notImplemented("storage.buckets.get with softDeleted");
  const record = store.buckets.get(name);
  checkPreconditions(preconditionsOf(call), { ...record, etag: bucketEtag(record) });
  return json(bucketResource(record, call.origin));
};

export const patchBucket: Handler = async ({ store }, call, name = "") => {
  const patch = await readResource(call);
  const record = await store.changeBucket(name, preconditionsOf(call), (old) =>
    changedBucket(old, patch, "storage.buckets.patch"),
  );
  return changed(bucketResource(record, call.origin));
};

export const updateBucket: Handler = async ({ store }, call, name = "") => {
  const resource = await readResource(call);
  const record = await store.changeBucket(name, preconditionsOf(call), ({ location }) => ({
    ...(location === undefined ? {} : { location }),
    ...changedBucket({}, resource, "storage.buckets.update"),
  }));
  return changed(bucketResource(record, call.origin));
};

export const deleteBucket: Handler = async ({ store }, call, name = "") => {
  await store.deleteBucket(name, preconditionsOf(call));
  return nothing;
};

export const storageLayout: Handler = ({ store }, call, name = "") => {
  const { location, locationType } = bucketResource(store.buckets.get(name), call.origin);
  return json({
    kind: "storage#storageLayout",
    bucket: name,
    location,
    locationType,
    hierarchicalNamespace: { enabled: false },
  });
};

/** There are none, as they cannot be made here; gcloud asks before it deletes. */
export const listManagedFolders: Handler = ({ store }, _call, name = "") => {
  store.buckets.check(name);
  return json({ kind: "storage#managedFolders", items: [] });
};
