import { randomUUID } from "node:crypto";
import { request as httpRequest } from "node:http";
import { type Bucket, Storage } from "@google-cloud/storage";
import { expect } from "vitest";
import type { CapabilityId } from "./capabilities.js";

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  readonly json: () => Record<string, unknown>;
}

interface Request {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** An emulator, the official client of it, and its HTTP interface where the client has no word for a call. */
export class Context {
  readonly client: Storage;

  constructor(readonly url: string) {
    const retryOptions = { autoRetry: false };
    this.client = new Storage({ projectId: "conformance-project", apiEndpoint: url, retryOptions });
  }

  async bucket(metadata: Record<string, unknown> = {}): Promise<Bucket> {
    const [bucket] = await this.client.createBucket(`b-${randomUUID()}`, metadata);
    return bucket;
  }

  /** Sends a request as it stands, without a client's retries or redirects. `path` is below the server's address, or a URL. */
  request(path: string, { method = "GET", headers = {}, body }: Request = {}): Promise<Answer> {
    const url = new URL(path, this.url);
    return new Promise((resolve, reject) => {
      const sent = httpRequest(url, { method, headers, path: `${url.pathname}${url.search}` }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const whole = Buffer.concat(chunks);
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: whole,
            json: () => JSON.parse(whole.toString()) as Record<string, unknown>,
          });
        });
      });
      sent.on("error", reject);
      sent.end(body);
    });
  }

  /** A request with a JSON resource, below /storage/v1. */
  api(method: string, path: string, resource?: unknown): Promise<Answer> {
    const body = resource === undefined ? undefined : JSON.stringify(resource);
    return this.request(`/storage/v1/${path}`, {
      method,
      ...(body === undefined ? {} : { body, headers: { "content-type": "application/json" } }),
    });
  }

  /** Opens a resumable upload and returns where it goes on. */
  async begin(bucket: Bucket, name: string, headers: Readonly<Record<string, string>> = {}): Promise<string> {
    const path = `/upload/storage/v1/b/${bucket.name}/o?uploadType=resumable&name=${encodeURIComponent(name)}`;
    const answer = await this.request(path, { method: "POST", headers: { ...headers, "content-length": "0" } });
    expect(answer.status).toBe(200);
    return String(answer.headers["location"]);
  }

  /** One request of a resumable upload. */
  put(location: string, range: string, body: Buffer = Buffer.alloc(0)): Promise<Answer> {
    return this.request(location, {
      method: "PUT",
      headers: { "content-range": range, "content-length": String(body.length) },
      body,
    });
  }
}

/** Stores a small object. */
export async function save(bucket: Bucket, name: string, data: string | Buffer = name, metadata = {}): Promise<string> {
  const file = bucket.file(name);
  await file.save(data, { resumable: false, metadata, validation: false });
  return String(file.metadata.generation);
}

export async function textOf(bucket: Bucket, name: string, generation?: string): Promise<string> {
  const file = bucket.file(name, generation === undefined ? {} : { generation });
  return (await file.download({ validation: false }))[0].toString();
}

export async function namesIn(bucket: Bucket, options: Record<string, unknown> = {}): Promise<string[]> {
  const [files] = await bucket.getFiles(options);
  return files.map((f) => f.name);
}

/** The call fails with one of these HTTP statuses. */
export async function refused(call: Promise<unknown>, ...statuses: readonly number[]): Promise<void> {
  const outcome = await call.then(
    () => "accepted",
    (error: unknown) => {
      const { code, status } = error as { readonly code?: unknown; readonly status?: unknown };
      return [Number(code), Number(status)];
    },
  );
  expect(statuses).toContain([outcome].flat().find((found) => !Number.isNaN(found)));
}

export const o = encodeURIComponent;

export type Case = (c: Context) => Promise<void>;
export type Cases = Partial<Record<CapabilityId, Case>>;
