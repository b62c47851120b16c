import { type ApiError, notImplemented } from "../errors.js";
import type { Call, Reply } from "../http/call.js";
import {
  deleteBucket,
  getBucket,
  insertBucket,
  listBuckets,
  listManagedFolders,
  patchBucket,
  storageLayout,
  updateBucket,
} from "./buckets.js";
import { composeObject, copyObject, moveObject, rewriteObject } from "./copies.js";
import type { Handler, Service } from "./handler.js";
import { insertObject } from "./insert.js";
import { deleteObject, getObject, listObjects, patchObject, restoreObject, updateObject } from "./objects.js";

/** What there is, by method and path; `*` is a name. */
const served: Readonly<Record<string, Handler>> = {
  "GET b": listBuckets,
  "POST b": insertBucket,
  "GET b/*": getBucket,
  "PATCH b/*": patchBucket,
  "PUT b/*": updateBucket,
  "DELETE b/*": deleteBucket,
  "GET b/*/storageLayout": storageLayout,
  "GET b/*/managedFolders": listManagedFolders,
  "GET b/*/o": listObjects,
  "GET b/*/o/*": getObject,
  "PATCH b/*/o/*": patchObject,
  "PUT b/*/o/*": updateObject,
  "DELETE b/*/o/*": deleteObject,
  "POST b/*/o/*/compose": composeObject,
  "POST b/*/o/*/restore": restoreObject,
  "POST b/*/o/*/copyTo/b/*/o/*": copyObject,
  "POST b/*/o/*/rewriteTo/b/*/o/*": rewriteObject,
  "POST b/*/o/*/moveTo/o/*": moveObject,
};

const uploads: Readonly<Record<string, Handler>> = {
  "POST b/*/o": insertObject,
  "PUT b/*/o": insertObject,
  "DELETE b/*/o": insertObject,
};

/** Calls of the API's reference that are not there, so that an answer names them. The first that fits counts. */
const known: Readonly<Record<string, string>> = {
  "POST b/*/o/watch": "storage.objects.watchAll",
  "POST b/*/o/bulkRestore": "storage.objects.bulkRestore",
  "POST b/*/o": "storage.objects.insert without /upload",
  "ANY b/*/o/*/acl/**": "storage.objectAccessControls",
  "GET b/*/o/*/iam": "storage.objects.getIamPolicy",
  "PUT b/*/o/*/iam": "storage.objects.setIamPolicy",
  "GET b/*/o/*/iam/**": "storage.objects.testIamPermissions",
  "ANY b/*/acl/**": "storage.bucketAccessControls",
  "ANY b/*/defaultObjectAcl/**": "storage.defaultObjectAccessControls",
  "GET b/*/iam": "storage.buckets.getIamPolicy",
  "PUT b/*/iam": "storage.buckets.setIamPolicy",
  "GET b/*/iam/**": "storage.buckets.testIamPermissions",
  "POST b/*/lockRetentionPolicy": "storage.buckets.lockRetentionPolicy",
  "POST b/*/restore": "storage.buckets.restore",
  "POST b/*/relocate": "storage.buckets.relocate",
  "ANY b/*/notificationConfigs/**": "storage.notifications",
  "ANY b/*/folders/**": "storage.folders",
  "ANY b/*/managedFolders/**": "storage.managedFolders",
  "ANY b/*/anywhereCaches/**": "storage.anywhereCaches",
  "ANY b/*/operations/**": "storage.operations",
  "ANY projects/*/hmacKeys/**": "storage.projects.hmacKeys",
  "GET projects/*/serviceAccount": "storage.projects.serviceAccount.get",
  "POST channels/stop": "storage.channels.stop",
};

/** Parameters that change what a call does, which nothing here does. */
const refusedParameters = [
  "predefinedAcl",
  "predefinedDefaultObjectAcl",
  "destinationPredefinedAcl",
  "kmsKeyName",
  "destinationKmsKeyName",
  "enableObjectRetention",
  "copySourceAcl",
];
const refusedHeaders = ["x-goog-encryption-algorithm", "x-goog-copy-source-encryption-algorithm"];

/** Carries out a call. Throws an ApiError, 501 with the call's name for what is not there. */
export async function serve(service: Service, call: Call): Promise<Reply> {
  const { value: handler, names } = find(call.upload ? uploads : served, call);
  if (handler === undefined) throw unknown(call);
  for (const parameter of refusedParameters) {
    const value = call.query.get(parameter);
    if (value !== null && !["", "false"].includes(value.toLowerCase())) throw notImplemented(`calls with ${parameter}`);
  }
  for (const header of refusedHeaders) {
    if (call.headers[header] !== undefined) throw notImplemented("customer-supplied encryption keys");
  }
  return handler(service, call, ...names);
}

function unknown(call: Call): ApiError {
  const name = call.upload ? undefined : find(known, call).value;
  return notImplemented(name ?? `${call.method} ${call.upload ? "/upload" : ""}/${call.path.join("/")}`);
}

/** What stands at the pattern of a call, and the names in its path. */
function find<T>(table: Readonly<Record<string, T>>, call: Call): { readonly value?: T; readonly names: string[] } {
  const method = call.method === "HEAD" ? "GET" : call.method;
  for (const [pattern, value] of Object.entries(table)) {
    const [wanted = "", shape = ""] = pattern.split(" ");
    const names = wanted === method || wanted === "ANY" ? namesIn(shape.split("/"), call.path) : undefined;
    if (names !== undefined) return { value, names };
  }
  return { names: [] };
}

/** The segments at `*`; `**` at the end is any number of segments. Undefined when the path is another one. */
function namesIn(shape: readonly string[], path: readonly string[]): string[] | undefined {
  const open = shape.at(-1) === "**";
  const fixed = open ? shape.slice(0, -1) : shape;
  if (path.length < fixed.length || (!open && path.length > fixed.length)) return undefined;
  const fits = fixed.every((segment, i) => (segment === "*" ? path[i] !== "" : segment === path[i]));
  return fits ? path.filter((_, i) => fixed[i] === "*") : undefined;
}
