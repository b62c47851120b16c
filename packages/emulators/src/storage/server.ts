import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Readable } from "node:stream";
import type { FaultEvent } from "../fault-schedule.js";
import { addressOf, listenOrNext, reachable } from "../listen.js";
import type { Service } from "./api/handler.js";
import { Rewrites } from "./api/rewrites.js";
import { serve } from "./api/routes.js";
import { ApiError, badRequest, notImplemented } from "./errors.js";
import { StorageFaultSchedule, type StorageFaultKind, type StorageFaults } from "./faults.js";
import { serveBatch } from "./http/batch.js";
import type { Call, Reply } from "./http/call.js";
import { selector } from "./http/fields.js";
import { refuseForeignPages } from "./http/origin.js";
import { send } from "./http/send.js";
import type { StorageEvent } from "./observe.js";
import { ObjectStore } from "./store/store.js";
import { Uploads } from "./store/resumable.js";

export interface StorageOptions {
  /** The folder with a folder for each bucket; made when absent. One emulator at a time works on it. */
  readonly root: string;
  /** Address to bind. Default 127.0.0.1. */
  readonly host?: string;
  /** Port to try first; when it is taken, a free one is used. Default 0: any free port. */
  readonly port?: number;
  /** What goes wrong on purpose. */
  readonly faults?: StorageFaults;
  /** Called for every fault that strikes. */
  readonly onFault?: (event: FaultEvent<StorageFaultKind>) => void;
  /** Called for every object that is written or deleted, as it happens. */
  readonly observe?: (event: StorageEvent) => void;
}

export interface StorageEmulator {
  /** `http://host:port`, the value for STORAGE_EMULATOR_HOST. */
  readonly url: string;
  readonly port: number;
  /** The folder with a folder for each bucket, without symbolic links in its path. */
  readonly root: string;
  /** Changes what goes wrong from now on, and begins the schedule anew. Throws RangeError. */
  setFaults(faults: StorageFaults): void;
  /** Ends every connection and frees port and folder. */
  close(): Promise<void>;
}

/**
 * Starts a Cloud Storage emulator (JSON API) over plain files. Rejects when the address or the folder cannot be used, with
 * DirectoryInUseError when another emulator works on the folder, and with RangeError for faults that are no probabilities.
 */
export async function startStorage(options: StorageOptions): Promise<StorageEmulator> {
  const host = options.host ?? "127.0.0.1";
  const faults = new StorageFaultSchedule(options.faults ?? {}, options.onFault);
  const store = await ObjectStore.open(options.root, options.observe);
  const service: Service = { store, uploads: new Uploads(store), rewrites: new Rewrites(store) };
  const emulator = new Emulator(service, faults, host);
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: 30_000 }, (request, response) => {
    void emulator.answer(request, response);
  });
  const port = await listenOrNext(server, host, options.port ?? 0).catch((error: unknown) => {
    store.close();
    throw error;
  });
  return {
    url: `http://${addressOf(reachable(host), port)}`,
    port,
    root: store.root,
    setFaults: (wanted) => {
      faults.set(wanted);
    },
    close: async () => {
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
        emulator.abort();
      });
      await emulator.settled();
      store.close();
    },
  };
}

class Emulator {
  readonly #running = new Set<Promise<void>>();
  readonly #ends = new Set<AbortController>();

  constructor(
    readonly service: Service,
    readonly faults: StorageFaultSchedule,
    readonly host: string,
  ) {}

  /** When nothing is carried out any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }

  /** Ends what is being sent. */
  abort(): void {
    for (const end of this.#ends) end.abort();
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const end = new AbortController();
    const broken = () => {
      end.abort();
    };
    const { socket } = request;
    socket.once("close", broken);
    this.#ends.add(end);
    const running = this.#answer(request, response, end.signal).catch(() => {
      response.destroy(); // the connection broke, or an object's file did
    });
    this.#running.add(running);
    await running;
    this.#running.delete(running);
    this.#ends.delete(end);
    socket.off("close", broken);
  }

  async #answer(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const isHead = request.method === "HEAD";
    const reply = await this.#reply(request);
    if (reply.changed === true && this.faults.strikes("loseReply")) {
      request.socket.resetAndDestroy();
      return;
    }
    // What the client still sends is read away, so that it sees the answer rather than a broken connection.
    if (!request.readableEnded) {
      request.removeAllListeners("readable"); // of an iterator that was left
      request.resume();
    }
    await send(response, reply, this.faults, { isHead, signal });
  }

  async #reply(request: IncomingMessage): Promise<Reply> {
    try {
      refuseForeignPages(request, this.host);
      const refusal = this.faults.refusal();
      if (refusal !== undefined)
        throw new ApiError(refusal, "backendError", "a fault: the request was not carried out");
      const call = this.#call(request);
      return call === undefined ? await this.#batch(request) : await this.#carryOut(call);
    } catch (error) {
      return failed(error);
    }
  }

  async #carryOut(call: Call): Promise<Reply> {
    const select = selector(call.query.get("fields")); // throws before anything is changed
    const reply = await serve(this.service, call);
    return reply.json === undefined ? reply : { ...reply, json: select(reply.json) };
  }

  /** Undefined for a batch. */
  #call(request: IncomingMessage): Call | undefined {
    const method = request.method ?? "GET";
    const url = request.url ?? "/";
    if (/^\/batch(?:\/storage\/v1)?(?:\?|$)/.test(url) && method === "POST") return undefined;
    const limited = this.#withReset(request);
    return callOf({ method, url, headers: request.headers, body: limited, origin: originOf(request) });
  }

  /** The body of a request, which a fault may break off. */
  #withReset(request: IncomingMessage): AsyncIterable<Uint8Array> {
    const isUpload = /^\/(?:resumable\/)?upload\//.test(request.url ?? "") && request.method !== "DELETE";
    return isUpload ? resetAfter(request, this.faults) : bodyOf(request);
  }

  async #batch(request: IncomingMessage): Promise<Reply> {
    const origin = originOf(request);
    const outer = {
      path: [],
      query: new URLSearchParams(),
      upload: false,
      origin,
      url: request.url ?? "",
      method: "POST",
    };
    let changed = false;
    const { contentType, body } = await serveBatch(
      { ...outer, headers: request.headers, body: bodyOf(request) },
      async (part) => {
        try {
          // The Python client writes whole addresses.
          const url = part.url.replace(/^https?:\/\/[^/]*/, "");
          const call = callOf({ ...part, url, body: Readable.from([part.body]), origin });
          if (call.upload || call.query.get("alt") === "media") throw badRequest("a batch carries no objects' bytes");
          const reply = await this.#carryOut(call);
          changed ||= reply.changed === true;
          return reply;
        } catch (error) {
          return failed(error);
        }
      },
    );
    return { status: 200, headers: { "content-type": contentType }, text: body, changed };
  }
}

/** A body that can be left and read away, for the connection to go on. */
function bodyOf(request: IncomingMessage): AsyncIterable<Uint8Array> {
  return { [Symbol.asyncIterator]: () => request.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer> };
}

/** The opportunity is a body that is read. */
async function* resetAfter(request: IncomingMessage, faults: StorageFaultSchedule): AsyncGenerator<Uint8Array> {
  if (!faults.strikes("resetUpload")) {
    yield* bodyOf(request);
    return;
  }
  const { socket } = request; // it has none any more once it is left
  let room = faults.afterBytes;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    const taken = chunk.subarray(0, room);
    room -= taken.length;
    if (taken.length > 0) yield taken;
    if (room === 0) break;
  }
  socket.resetAndDestroy();
  throw new Error("a fault: the connection was reset");
}

function failed(error: unknown): Reply {
  const known = error instanceof ApiError ? error : unexpected(error);
  // Not Modified has no body (RFC 9110, 15.4.5).
  return known.status === 304 ? { status: 304 } : { status: known.status, headers: known.headers, json: known };
}

function unexpected(error: unknown): ApiError {
  const tooLong = (error as NodeJS.ErrnoException).code === "ENAMETOOLONG";
  if (tooLong) return badRequest("The object's name is too long for this disk");
  return new ApiError(500, "backendError", String(error));
}

function originOf(request: IncomingMessage): string {
  return `http://${request.headers.host ?? "localhost"}`;
}

// The Node client leaves /storage/v1 out when STORAGE_EMULATOR_HOST is set; gcloud uploads below /resumable.
const prefixes = [
  "/upload/storage/v1/",
  "/download/storage/v1/",
  "/resumable/upload/storage/v1/",
  "/storage/v1/",
  "/",
] as const;

function callOf(request: Omit<Call, "path" | "query" | "upload">): Call {
  const [pathname = "/", search = ""] = request.url.split(/\?(.*)/s);
  const prefix = prefixes.find((p) => pathname.startsWith(p));
  if (prefix === undefined) throw notImplemented(`${request.method} ${pathname}`);
  const query = new URLSearchParams(search);
  if (prefix.startsWith("/download")) query.set("alt", "media");
  const path = pathname.slice(prefix.length).replace(/\/$/, "").split("/").map(decodeSegment);
  return { ...request, path, query, upload: prefix.includes("upload") };
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw badRequest(`not a legal path segment: ${segment}`);
  }
}
