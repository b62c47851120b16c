import type { IncomingMessage, ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { sendMedia } from "./download.js";
import { badRequest, notFound, notImplemented } from "./errors.js";
import { listObjects } from "./listing.js";
import { parseResource, readRelated } from "./multipart.js";
import { checkPreconditions, preconditionsOf } from "./preconditions.js";
import { settingsOf, toResource } from "./record.js";
import type { FileStore, OpenObject } from "./store.js";
import { type Upload, Uploads } from "./uploads.js";

/** One request, taken apart. */
export interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  /** Decoded path segments below the API's prefix, e.g. `["b", "my-bucket", "o", "a/b.wav"]`. */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
  readonly origin: string;
}

const maxJsonBytes = 1024 * 1024;

/** The JSON API (https://cloud.google.com/storage/docs/json_api/v1) over a store. */
export class Api {
  readonly #uploads: Uploads;

  constructor(readonly store: FileStore) {
    this.#uploads = new Uploads(store);
  }

  async serve(call: Call): Promise<void> {
    const [kind, bucket, o, object, verb] = call.path;
    const name = `${call.method} /${call.path.map((p, i) => (i === 1 || i === 3 ? "…" : p)).join("/")}`;
    if (kind !== "b") throw notImplemented(name);
    if (bucket === undefined) return this.#buckets(call, name);
    if (o === undefined) return this.#bucket(call, bucket, name);
    if (o !== "o") throw notImplemented(name);
    if (object === undefined) return this.#objects(call, bucket, name);
    if (verb === undefined) return this.#object(call, bucket, object, name);
    if (call.method === "POST" && (verb === "rewriteTo" || verb === "copyTo")) return this.#copy(call, bucket, object);
    throw notImplemented(name);
  }

  async #buckets(call: Call, name: string): Promise<void> {
    if (call.method === "POST") {
      const resource = parseResource(await readJson(call.request));
      const bucket = resource["name"];
      if (typeof bucket !== "string") throw badRequest("a bucket needs a name");
      await this.store.createBucket(bucket);
      sendJson(call, await this.#bucketResource(bucket, call.origin));
      return;
    }
    if (call.method !== "GET") throw notImplemented(name);
    const prefix = call.query.get("prefix") ?? "";
    const names = (await this.store.buckets()).filter((n) => n.startsWith(prefix));
    const items = await Promise.all(names.map((n) => this.#bucketResource(n, call.origin)));
    sendJson(call, { kind: "storage#buckets", items });
  }

  async #bucket(call: Call, bucket: string, name: string): Promise<void> {
    if (call.method === "GET") {
      sendJson(call, await this.#bucketResource(bucket, call.origin));
    } else if (call.method === "DELETE") {
      await this.store.deleteBucket(bucket);
      sendNothing(call);
    } else {
      throw notImplemented(name);
    }
  }

  async #bucketResource(bucket: string, origin: string): Promise<Record<string, unknown>> {
    const created = (await this.store.bucketCreated(bucket)).toISOString();
    return {
      kind: "storage#bucket",
      id: bucket,
      name: bucket,
      selfLink: `${origin}/storage/v1/b/${bucket}`,
      location: "LOCAL",
      storageClass: "STANDARD",
      metageneration: "1",
      timeCreated: created,
      updated: created,
      etag: Buffer.from(created).toString("base64"),
    };
  }

  async #objects(call: Call, bucket: string, name: string): Promise<void> {
    if (call.method !== "GET") throw notImplemented(name);
    const listing = await listObjects(this.store, bucket, call.query);
    sendJson(call, {
      kind: "storage#objects",
      ...(listing.nextPageToken === undefined ? {} : { nextPageToken: listing.nextPageToken }),
      prefixes: listing.prefixes,
      items: listing.items.map((record) => toResource(record, call.origin)),
    });
  }

  async #object(call: Call, bucket: string, object: string, name: string): Promise<void> {
    const conditions = preconditionsOf(call.query);
    if (call.method === "DELETE") {
      await this.store.delete(bucket, object, conditions, call.query.get("generation"));
      sendNothing(call);
    } else if (call.method === "PATCH") {
      const change = parseResource(await readJson(call.request));
      sendJson(call, toResource(await this.store.patch(bucket, object, change, conditions), call.origin));
    } else if (call.method === "GET") {
      const { record, file } = await this.#existing(bucket, object, call.query.get("generation"));
      try {
        checkPreconditions(conditions, record);
        if (call.query.get("alt") !== "media") sendJson(call, toResource(record, call.origin));
        else await sendMedia(call.request, call.response, record, file);
      } finally {
        await file.close();
      }
    } else {
      throw notImplemented(name);
    }
  }

  async #existing(bucket: string, object: string, generation: string | null): Promise<OpenObject> {
    const found = await this.store.open(bucket, object);
    if (found !== undefined && (generation === null || generation === found.record.generation)) return found;
    await found?.file.close();
    throw notFound(`No such object: ${bucket}/${object}`);
  }

  async #copy(call: Call, bucket: string, object: string): Promise<void> {
    const [, , , , verb, b, target, o, targetObject] = call.path;
    if (b !== "b" || o !== "o" || target === undefined || targetObject === undefined) {
      throw badRequest(`not a copy's path: ${call.path.join("/")}`);
    }
    for (const key of call.query.keys()) {
      if (key.startsWith("ifSource")) throw notImplemented(`objects.${verb ?? ""} with ${key}`);
    }
    const source = await this.#existing(bucket, object, call.query.get("sourceGeneration"));
    const body = parseResource(await readJson(call.request));
    const settings = Object.keys(body).length === 0 ? source.record.settings : settingsOf(body);
    const staged = await this.store
      .stage(source.file.createReadStream({ autoClose: false }) as AsyncIterable<Buffer>)
      .finally(() => source.file.close());
    const record = await this.store.commit(target, targetObject, staged, settings, preconditionsOf(call.query));
    const resource = toResource(record, call.origin);
    const size = String(record.size);
    if (verb === "copyTo") sendJson(call, resource);
    else
      sendJson(call, {
        kind: "storage#rewriteResponse",
        totalBytesRewritten: size,
        objectSize: size,
        done: true,
        resource,
      });
  }

  /** Paths below /upload. */
  async upload(call: Call): Promise<void> {
    const [b, bucket, o] = call.path;
    const type = call.query.get("uploadType");
    if (b !== "b" || o !== "o" || bucket === undefined)
      throw notImplemented(`${call.method} /upload/${call.path.join("/")}`);
    const id = call.query.get("upload_id");
    if (id !== null) return this.#resume(call, id);
    await this.store.bucketCreated(bucket);
    if (call.method !== "POST") throw notImplemented(`${call.method} /upload/b/…/o`);
    if (type === "media") return this.#media(call, bucket);
    if (type === "multipart") return this.#multipart(call, bucket);
    if (type === "resumable") return this.#begin(call, bucket);
    throw badRequest(`uploadType is media, multipart or resumable, not ${type}`);
  }

  async #media(call: Call, bucket: string): Promise<void> {
    const contentType = call.request.headers["content-type"];
    const upload = describe(call, bucket, contentType === undefined ? {} : { contentType });
    sendJson(call, toResource(await this.#uploads.whole(upload, call.request), call.origin));
  }

  async #multipart(call: Call, bucket: string): Promise<void> {
    const parts = await readRelated(call.request, call.request.headers["content-type"] ?? "");
    const contentType = parts.resource["contentType"] ?? parts.mediaType;
    const upload = describe(call, bucket, { ...parts.resource, contentType });
    sendJson(call, toResource(await this.#uploads.whole(upload, parts.media), call.origin));
  }

  async #begin(call: Call, bucket: string): Promise<void> {
    const resource = parseResource(await readJson(call.request));
    const contentType = resource["contentType"] ?? call.request.headers["x-upload-content-type"];
    const id = await this.#uploads.begin(describe(call, bucket, { ...resource, contentType }));
    const location = new URL(call.request.url ?? "/", call.origin);
    location.searchParams.set("upload_id", id);
    call.response.setHeader("location", location.href);
    call.response.setHeader("x-guploader-uploadid", id);
    call.response.end();
  }

  async #resume(call: Call, id: string): Promise<void> {
    if (call.method === "DELETE") {
      await this.#uploads.cancel(id);
      call.response.statusCode = 499; // what the service answers to a cancelled upload
      call.response.end();
      return;
    }
    if (call.method !== "PUT") throw notImplemented(`${call.method} of a resumable upload`);
    const progress = await this.#uploads.put(id, call.request.headers["content-range"], call.request);
    if (progress.state === "done") {
      sendJson(call, toResource(progress.record, call.origin));
      return;
    }
    call.response.statusCode = 308;
    if (progress.received > 0) call.response.setHeader("range", `bytes=0-${progress.received - 1}`);
    call.response.end();
  }
}

function describe(call: Call, bucket: string, resource: Readonly<Record<string, unknown>>): Upload {
  const name = call.query.get("name") ?? resource["name"];
  if (typeof name !== "string") throw badRequest("an upload names its object");
  const text = (value: unknown) => (typeof value === "string" ? value : undefined);
  const header = call.request.headers["x-goog-hash"];
  const hashes = new Map(
    (Array.isArray(header) ? header.join(",") : (header ?? "")).split(",").map((h) => {
      const [kind = "", ...value] = h.trim().split("=");
      return [kind, value.join("=")] as const;
    }),
  );
  return {
    bucket,
    name,
    settings: settingsOf(resource),
    expected: {
      md5Hash: text(resource["md5Hash"]) ?? hashes.get("md5"),
      crc32c: text(resource["crc32c"]) ?? hashes.get("crc32c"),
    },
    conditions: preconditionsOf(call.query),
  };
}

async function readJson(request: IncomingMessage): Promise<string> {
  if (Number(request.headers["content-length"] ?? 0) > maxJsonBytes) throw badRequest("the body is too long");
  return text(request);
}

function sendJson(call: Call, body: unknown): void {
  call.response.setHeader("content-type", "application/json; charset=UTF-8");
  call.response.end(JSON.stringify(body));
}

function sendNothing(call: Call): void {
  call.response.statusCode = 204;
  call.response.end();
}
