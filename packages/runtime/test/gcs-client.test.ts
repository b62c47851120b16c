import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { GcsClient } from "../src/objects/gcs/client.js";
import { defaultCredentials } from "../src/objects/gcs/credentials.js";
import { gcsLimits } from "../src/objects/gcs/limits.js";
import { isStorageTrouble, StorageError } from "../src/objects/storage-error.js";

const servers: Server[] = [];
const saved = { ...process.env };

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  process.env = { ...saved };
});

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A server that notes what it is asked, and answers with an empty JSON object. */
async function notingServer(): Promise<{ readonly url: string; readonly asked: IncomingMessage[] }> {
  const asked: IncomingMessage[] = [];
  const url = await serve((request, response) => {
    asked.push(request);
    response.end("{}");
  });
  return { url, asked };
}

const { signal } = new AbortController();
const get = (url: string) => ({ what: "asking", method: "GET" as const, url: new URL(url) });

describe("a request to Cloud Storage", () => {
  it("carries the application's default credentials, asked for once", async () => {
    let tokens = 0;
    const metadata = await serve((request, response) => {
      response.setHeader("Metadata-Flavor", "Google");
      if (request.url?.includes("/token") !== true) return response.writeHead(404).end();
      tokens += 1;
      return response
        .setHeader("content-type", "application/json")
        .end('{"access_token":"a-token","expires_in":3600,"token_type":"Bearer"}');
    });
    delete process.env["GOOGLE_APPLICATION_CREDENTIALS"];
    process.env["GCE_METADATA_HOST"] = metadata.slice("http://".length);
    process.env["METADATA_SERVER_DETECTION"] = "assume-present";
    process.env["HOME"] = "/nonexistent"; // where gcloud keeps credentials of its own
    const { url, asked } = await notingServer();
    const client = new GcsClient(url, defaultCredentials("a-project"), gcsLimits);
    await client.ask(get(`${url}/storage/v1/b`), signal);
    await client.ask(get(`${url}/storage/v1/b`), signal);
    expect(asked.map(({ headers }) => headers.authorization)).toEqual(["Bearer a-token", "Bearer a-token"]);
    expect(asked[0]?.headers["user-agent"]).toMatch(/^klio-runtime\//);
    expect(tokens).toBe(1);
  });

  it("shows credentials to no other host", async () => {
    const [storage, other] = [await notingServer(), await notingServer()];
    const client = new GcsClient(storage.url, () => Promise.resolve({ authorization: "Bearer secret" }), gcsLimits);
    await client.ask(get(`${other.url}/session`), signal);
    expect(other.asked[0]?.headers).not.toHaveProperty("authorization");
  });

  it("without credentials fails at once, as a trouble of the storage", async () => {
    const { url, asked } = await notingServer();
    const none = () => Promise.reject(new Error("Could not load the default credentials"));
    const error: unknown = await new GcsClient(url, none, gcsLimits)
      .askAgain(get(url), signal)
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: "STORAGE_CREDENTIALS",
      message: expect.stringContaining("default credentials") as string,
    });
    expect(isStorageTrouble(error)).toBe(true);
    expect(asked).toHaveLength(0);
  });

  it("does not wait for credentials that never come, nor once its signal has aborted", async () => {
    let asked = 0;
    const never = () => {
      asked += 1;
      return new Promise<never>(() => undefined);
    };
    const limits = { ...gcsLimits, tries: 3, firstDelayMs: 1, stallMs: 20 };
    const { url } = await notingServer();
    const error: unknown = await new GcsClient(url, never, limits)
      .askAgain(get(url), signal)
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "STORAGE_STALLED", message: "asking: no credentials came for 0.02 s" });
    expect(isStorageTrouble(error)).toBe(true);
    expect(asked).toBe(3);
    const abort = new AbortController();
    const waiting = new GcsClient(url, never, gcsLimits).askAgain(get(url), abort.signal);
    abort.abort(new Error("too late"));
    await expect(waiting).rejects.toThrow("too late");
  });

  it.each([
    [401, false, true],
    [403, false, true],
    [404, false, true],
    [408, true, true],
    [429, true, true],
    [500, true, true],
    [503, true, true],
    [400, false, false],
    [413, false, false],
  ])("that is answered with %d is tried again: %s, a trouble of the storage: %s", async (status, again, trouble) => {
    let asked = 0;
    const url = await serve((_, response) => {
      asked += 1;
      response.writeHead(status).end('{"error":{"message":"the reason"}}');
    });
    const client = new GcsClient(url, () => Promise.resolve({}), { ...gcsLimits, tries: 3, firstDelayMs: 1 });
    const error: unknown = await client.askAgain(get(url), signal).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StorageError);
    expect(error).toMatchObject({ status, code: `HTTP_${status}`, message: `asking: HTTP ${status}: the reason` });
    expect(isStorageTrouble(error)).toBe(trouble);
    expect(asked).toBe(again ? 3 : 1);
  });

  it("to nobody is tried again, and then a trouble of the storage", async () => {
    const url = await serve(() => undefined);
    const [server] = servers.splice(0);
    await new Promise((resolve) => server?.close(resolve));
    const client = new GcsClient(url, () => Promise.resolve({}), { ...gcsLimits, tries: 3, firstDelayMs: 1 });
    const error: unknown = await client.askAgain(get(url), signal).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "ECONNREFUSED" });
    expect(isStorageTrouble(error)).toBe(true);
  });

  it("carries names of objects as data", () => {
    const client = new GcsClient("http://host:1", () => Promise.resolve({}), gcsLimits);
    const names = ["a/../b", "?q=1", "#x", "a b", "$(x)", "%2e%2e", "ü/\u{1f3b5}", "a\\b", ".%2E/x"];
    for (const name of names) {
      const { pathname, search, hash } = client.objectUrl({ bucket: "bucket", name }, { alt: "media" });
      expect([decodeURIComponent(pathname.slice("/storage/v1/b/bucket/o/".length)), search, hash]).toEqual([
        name,
        "?alt=media",
        "",
      ]);
      expect(client.uploadUrl({ bucket: "bucket", name }, {}).searchParams.get("name")).toBe(name);
    }
  });
});
