import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { addressOf, listenOrNext, reachable } from "../listen.js";
import { Api, type Call } from "./api.js";
import { ApiError, badRequest, forbidden, notImplemented } from "./errors.js";
import type { StorageEvent } from "./observe.js";
import { FileStore } from "./store.js";

export interface StorageOptions {
  /** The folder with a folder for each bucket; made when absent. */
  readonly root: string;
  /** Address to bind. Default 127.0.0.1. */
  readonly host?: string;
  /** Port to try first; when it is taken, a free one is used. Default 0: any free port. */
  readonly port?: number;
  /** Called for every object that is written, as it happens. */
  readonly observe?: (event: StorageEvent) => void;
}

export interface StorageEmulator {
  /** `http://host:port`, the value for STORAGE_EMULATOR_HOST. */
  readonly url: string;
  readonly port: number;
  readonly root: string;
  /** Ends every connection and frees the port. */
  close(): Promise<void>;
}

/** Starts a Cloud Storage emulator (JSON API) over plain files. Rejects when the address or the folder cannot be used. */
export async function startStorage(options: StorageOptions): Promise<StorageEmulator> {
  const host = options.host ?? "127.0.0.1";
  const store = await FileStore.open(options.root, options.observe);
  const api = new Api(store);
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: 30_000 }, (request, response) => {
    void answer(api, host, request, response);
  });
  const port = await listenOrNext(server, host, options.port ?? 0);
  return {
    url: `http://${addressOf(reachable(host), port)}`,
    port,
    root: store.root,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

async function answer(api: Api, host: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    refuseForeignPages(request, host);
    await route(api, request, response);
  } catch (error) {
    const known = error instanceof ApiError ? error : new ApiError(500, "backendError", String(error));
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    response.statusCode = known.status;
    response.setHeader("content-type", "application/json; charset=UTF-8");
    // What the client still sends is read away, so that it sees the answer rather than a broken connection.
    request.resume();
    response.end(JSON.stringify(known));
  }
}

// The Node client leaves /storage/v1 out when STORAGE_EMULATOR_HOST is set.
const prefixes = [
  "/upload/storage/v1/",
  "/download/storage/v1/",
  "/resumable/upload/storage/v1/",
  "/storage/v1/",
  "/",
] as const;

async function route(api: Api, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [pathname = "/", search = ""] = (request.url ?? "/").split(/\?(.*)/s);
  const prefix = prefixes.find((p) => pathname.startsWith(p)) ?? "/";
  const path = pathname
    .slice(prefix.length)
    .split("/")
    .filter((p, i) => i > 3 || p !== "")
    .map(decodeSegment);
  const call: Call = {
    request,
    response,
    method: request.method ?? "GET",
    path,
    query: new URLSearchParams(search),
    origin: `http://${request.headers.host ?? "localhost"}`,
  };
  if (pathname === "/batch/storage/v1") throw notImplemented("batch requests");
  if (prefix.includes("upload")) await api.upload(call);
  else if (prefix.startsWith("/download")) {
    call.query.set("alt", "media");
    await api.serve(call);
  } else await api.serve(call);
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw badRequest(`not a legal path segment: ${segment}`);
  }
}

/** A page in the user's browser must not reach the emulator: neither directly (Origin) nor by a rebound name (Host). */
function refuseForeignPages(request: IncomingMessage, bound: string): void {
  // A name could be rebound to this machine; an address, or the name the emulator was bound to, could not.
  const known =
    /^(?:localhost|host\.docker\.internal|host\.containers\.internal|(?:\d+\.){3}\d+|\[[0-9a-f:.]+\])(?::\d+)?$/i;
  const ours = (authority: string) => known.test(authority) || authority.replace(/:\d+$/, "") === bound;
  const origin = request.headers.origin;
  if (origin !== undefined && !ours(origin.replace(/^https?:\/\//, ""))) {
    throw forbidden("requests from web pages are refused");
  }
  if (!ours(request.headers.host ?? "localhost")) {
    throw forbidden(`requests for host ${request.headers.host} are refused`);
  }
}
