import { badRequest, notImplemented } from "../errors.js";
import { type Call, changed, type Reply } from "../http/call.js";
import { boundaryOf, readRelated } from "../http/multipart.js";
import { optionalString, readResource, type Resource } from "../http/resource.js";
import { preconditionsOf } from "../preconditions.js";
import type { Expected, Upload } from "../store/resumable.js";
import type { Handler, Service } from "./handler.js";
import { objectResource, settingsOf } from "./resources.js";

/** https://cloud.google.com/storage/docs/uploads-downloads */
export const insertObject: Handler = async (service, call, bucket = "") => {
  const id = call.query.get("upload_id");
  if (id !== null) return resume(service, call, id);
  if (call.method !== "POST") throw notImplemented(`${call.method} without upload_id`);
  service.store.buckets.check(bucket);
  const type = call.query.get("uploadType");
  if (type === "media") return media(service, call, bucket);
  if (type === "multipart") return multipart(service, call, bucket);
  if (type === "resumable") return begin(service, call, bucket);
  throw badRequest(`uploadType is media, multipart or resumable, not ${type}`);
};

async function media(service: Service, call: Call, bucket: string): Promise<Reply> {
  const contentType = call.headers["content-type"];
  const upload = describe(call, bucket, contentType === undefined ? {} : { contentType });
  return changed(objectResource(await service.uploads.whole(upload, call.body), call.origin));
}

async function multipart(service: Service, call: Call, bucket: string): Promise<Reply> {
  const parts = await readRelated(call.body, boundaryOf(call.headers["content-type"]));
  const contentType = parts.resource["contentType"] ?? parts.mediaType;
  const upload = describe(call, bucket, { ...parts.resource, contentType });
  return changed(objectResource(await service.uploads.whole(upload, parts.media), call.origin));
}

async function begin(service: Service, call: Call, bucket: string): Promise<Reply> {
  if (!URL.canParse(call.url, call.origin)) throw badRequest(`not an address: ${call.origin}${call.url}`);
  const resource = await readResource(call);
  const contentType = resource["contentType"] ?? call.headers["x-upload-content-type"];
  const length = call.headers["x-upload-content-length"];
  const size = typeof length === "string" && /^\d{1,15}$/.test(length) ? { size: Number(length) } : {};
  const id = await service.uploads.begin({ ...describe(call, bucket, { ...resource, contentType }), ...size });
  // The host is the one that the client knows this emulator by.
  const location = new URL(call.url, call.origin);
  location.searchParams.set("upload_id", id);
  return { status: 200, headers: { location: location.href, "x-guploader-uploadid": id } };
}

async function resume(service: Service, call: Call, id: string): Promise<Reply> {
  if (call.method === "DELETE") {
    await service.uploads.cancel(id);
    return { status: 499 }; // what the service answers to a cancelled upload
  }
  const range = call.headers["content-range"];
  const progress = await service.uploads.put(id, range, expectedOf(call, {}), call.body);
  if (progress.state === "done") return changed(objectResource(progress.record, call.origin));
  const received = progress.received > 0 ? { range: `bytes=0-${progress.received - 1}` } : {};
  // Clients whose libraries take 308 for a redirect ask for another way.
  if (call.headers["x-guploader-no-308"] !== "yes") return { status: 308, headers: received };
  return { status: 200, headers: { ...received, "x-http-status-code-override": "308" } };
}

function describe(call: Call, bucket: string, resource: Resource): Upload {
  const name = call.query.get("name") ?? optionalString(resource, "name");
  if (name === undefined) throw badRequest("an upload names its object");
  const contentEncoding = call.query.get("contentEncoding");
  const settings = settingsOf(resource, "storage.objects.insert");
  return {
    bucket,
    name,
    settings: contentEncoding === null ? settings : { ...settings, contentEncoding },
    expected: expectedOf(call, resource),
    conditions: preconditionsOf(call),
  };
}

/** Checksums that the client announces: in the resource, or in the headers X-Goog-Hash and Content-MD5. */
function expectedOf(call: Call, resource: Resource): Expected {
  const header = call.headers["x-goog-hash"];
  const announced = Array.isArray(header) ? header.join(",") : (header ?? "");
  const hashes = new Map(
    announced.split(",").map((hash) => {
      const [kind = "", ...value] = hash.trim().split("=");
      return [kind, value.join("=")] as const;
    }),
  );
  const contentMd5 = call.headers["content-md5"];
  return {
    md5Hash: optionalString(resource, "md5Hash") ?? hashes.get("md5") ?? (contentMd5 as string | undefined),
    crc32c: optionalString(resource, "crc32c") ?? hashes.get("crc32c"),
  };
}
