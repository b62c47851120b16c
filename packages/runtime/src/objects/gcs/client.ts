import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { addAbortSignal } from "node:stream";
import { messageOf } from "../../error-message.js";
import { runtimeVersion } from "../../version.js";
import { StorageError } from "../storage-error.js";
import type { ObjectPath } from "../store.js";
import { noteReceived } from "./garbage.js";
import type { GcsLimits } from "./limits.js";
import { retrying } from "./tries.js";

export interface GcsRequest {
  /** For messages, e.g. `reading gs://bucket/name`. */
  readonly what: string;
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: readonly Uint8Array[];
}

export interface GcsAnswer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  /** Of the JSON in its body; empty when there is none. */
  readonly resource: Readonly<Record<string, unknown>>;
}

/** Headers that say who asks. */
export type Authorize = (url: string) => Promise<Readonly<Record<string, string>>>;

const maxAnswerBytes = 1024 * 1024;

/**
 * Requests of the JSON API over connections of its own. The official client is not used for them: an answer that breaks off in the
 * middle makes it wait for ever, a download that is left early takes all other connections with it, what was begun cannot be aborted,
 * and an upload in pieces fails when the answer to the last one is lost (docs/decisions/0009-storage-requests.md).
 */
export class GcsClient {
  readonly #origin: string;
  readonly #http = new HttpAgent({ keepAlive: true });
  // Node 22.21 and 24.5 know proxies: https://nodejs.org/api/http.html#built-in-proxy-support
  readonly #https = new HttpsAgent({ keepAlive: true, ...{ proxyEnv: process.env } });

  /** `endpoint` is `https://storage.googleapis.com`, or an emulator's address. */
  constructor(
    readonly endpoint: string,
    readonly authorize: Authorize,
    readonly limits: GcsLimits,
  ) {
    this.#origin = new URL(endpoint).origin;
  }

  /** The address of an object's metadata, or with `alt=media` of its bytes. */
  objectUrl(path: ObjectPath, query: Readonly<Record<string, string>>): URL {
    const [bucket, name] = [encodeURIComponent(path.bucket), encodeURIComponent(path.name)];
    return new URL(`${this.endpoint}/storage/v1/b/${bucket}/o/${name}?${new URLSearchParams(query).toString()}`);
  }

  /** The address that new objects of a bucket are sent to. */
  uploadUrl(path: ObjectPath, query: Readonly<Record<string, string>>): URL {
    const text = new URLSearchParams({ name: path.name, ...query }).toString();
    return new URL(`${this.endpoint}/upload/storage/v1/b/${encodeURIComponent(path.bucket)}/o?${text}`);
  }

  /** One request. Resolves when the answer begins. Throws a StorageError for a status of 400 and above. */
  async open(request: GcsRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const answer = await this.#send(request, signal);
    const { statusCode: status = 0 } = answer;
    if (status < 400) return answer;
    throw refusal(request.what, status, await this.#text(answer, request.what, signal));
  }

  async #send(request: GcsRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const { url, what, method, body = [] } = request;
    const authorization = url.origin === this.#origin ? await this.#authorization(request, signal) : {};
    const headers = {
      ...authorization,
      "user-agent": `klio-runtime/${runtimeVersion}`,
      ...(method === "GET" || method === "DELETE" ? {} : { "content-length": String(lengthOf(body)) }),
      ...request.headers,
    };
    const timeout = this.limits.stallMs;
    const options = { method, headers, signal, timeout };
    return new Promise((resolve, reject) => {
      const sent =
        url.protocol === "https:"
          ? httpsRequest(url, { ...options, agent: this.#https })
          : httpRequest(url, { ...options, agent: this.#http });
      sent.once("timeout", () => sent.destroy(stalled(what, timeout)));
      // Also after the answer began: an error that nobody hears ends the process.
      sent.on("error", (error) => {
        reject(signal.aborted ? (signal.reason as Error) : broken(what, error));
      });
      sent.once("response", (response) => {
        sent.setTimeout(0); // from here on it depends on the reader as well
        resolve(response);
      });
      for (const part of body) sent.write(part);
      sent.end();
    });
  }

  /** One request whose answer is JSON or nothing. Throws a StorageError for a status of 400 and above. */
  async ask(request: GcsRequest, signal: AbortSignal): Promise<GcsAnswer> {
    const answer = await this.open(request, signal);
    const { statusCode: status = 0, headers } = answer;
    return { status, headers, resource: parse(await this.#text(answer, request.what, signal)) };
  }

  /** Asks until it is answered: for what may be carried out twice, or carries a precondition. */
  askAgain(request: GcsRequest, signal: AbortSignal): Promise<GcsAnswer> {
    return retrying(this.limits, signal, () => this.ask(request, signal));
  }

  /** The bytes of an answer. Throws a StorageError when the connection breaks, or none come for too long. */
  async *bytes(response: IncomingMessage, what: string, signal: AbortSignal): AsyncGenerator<Buffer> {
    const { stallMs } = this.limits;
    const watch = () => setTimeout(() => response.destroy(stalled(what, stallMs)), stallMs);
    // It may have been asked for with another signal.
    addAbortSignal(signal, response);
    // The time that the reader takes does not count.
    let timer = watch();
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        clearTimeout(timer);
        noteReceived(chunk.length);
        yield chunk;
        timer = watch();
      }
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof StorageError ? error : broken(what, error as Error);
    } finally {
      clearTimeout(timer);
    }
  }

  async #text(response: IncomingMessage, what: string, signal: AbortSignal): Promise<string> {
    const chunks: Buffer[] = [];
    for await (const chunk of this.bytes(response, what, signal)) {
      chunks.push(chunk);
      if (lengthOf(chunks) > maxAnswerBytes) throw new StorageError(`${what}: the answer is too long`, protocol);
    }
    return Buffer.concat(chunks).toString();
  }

  /** The library that fetches them knows no signal, and waits for as long as its own tries take. */
  async #authorization({ what, url }: GcsRequest, signal: AbortSignal): Promise<Readonly<Record<string, string>>> {
    signal.throwIfAborted();
    const { stallMs } = this.limits;
    let timer: NodeJS.Timeout | undefined;
    let aborted: () => void = () => undefined;
    const givenUp = new Promise<never>((_, reject) => {
      aborted = () => {
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", aborted);
      timer = setTimeout(() => {
        const message = `${what}: no credentials came for ${stallMs / 1_000} s`;
        reject(new StorageError(message, { code: "STORAGE_STALLED" }));
      }, stallMs);
    });
    const coming = this.authorize(url.href).catch((cause: unknown) => {
      throw new StorageError(`${what}: no credentials: ${messageOf(cause)}`, { code: "STORAGE_CREDENTIALS", cause });
    });
    try {
      return await Promise.race([coming, givenUp]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", aborted);
    }
  }
}

const protocol = { code: "STORAGE_PROTOCOL" } as const;

function stalled(what: string, ms: number): StorageError {
  return new StorageError(`${what}: nothing came or went for ${ms / 1_000} s`, { code: "STORAGE_STALLED" });
}

function broken(what: string, cause: Error): StorageError {
  if (cause instanceof StorageError) return cause;
  const { code } = cause as NodeJS.ErrnoException;
  return new StorageError(`${what}: the connection broke: ${cause.message}`, { code: code ?? "CONNECTION", cause });
}

/** The words of an error: https://cloud.google.com/storage/docs/json_api/v1/status-codes */
function refusal(what: string, status: number, text: string): StorageError {
  const { error } = parse(text);
  const said = typeof error === "object" && error !== null && "message" in error ? error.message : undefined;
  const message = typeof said === "string" ? said : text.slice(0, 200);
  // What arrived is not what was sent: sent again it may be.
  const corrupted = status === 400 && /doesn't match calculated/.test(message);
  return new StorageError(`${what}: HTTP ${status}${message === "" ? "" : `: ${message}`}`, {
    code: corrupted ? "STORAGE_CHECKSUM" : `HTTP_${status}`,
    status,
  });
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}
