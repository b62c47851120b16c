import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { messageOf } from "../error-message.js";
import type { InFlight } from "./in-flight.js";
import type { Status } from "./status.js";

export interface HttpOptions {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly status: () => Status;
  readonly metrics: () => Promise<{ readonly body: string; readonly contentType: string }>;
  readonly inFlight: () => readonly InFlight[];
}

export interface HttpEndpoint {
  /** `http://host:port` */
  readonly url: string;
  close(): Promise<void>;
}

/** Serves /healthz, /readyz, /metrics and /in-flight. Rejects when the port is taken. */
export async function serve(options: HttpOptions): Promise<HttpEndpoint> {
  const server = createServer((request, response) => {
    answer(options, request, response).catch((error: unknown) => {
      response.writeHead(500).end(`${messageOf(error)}\n`);
    });
  });
  server.requestTimeout = 10_000;
  await listen(server, options);
  const { address, port, family } = server.address() as AddressInfo;
  return {
    url: `http://${family === "IPv6" ? `[${address}]` : address}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, { host, port }: HttpOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

async function answer(options: HttpOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method, url = "/", headers } = request;
  if (isLoopback(options.host) && !namesLoopback(headers.host)) {
    // A page in a browser must not read what is here by giving its own name our address.
    send(response, 403, "text/plain", "Host is not this machine\n");
    return;
  }
  if (method !== "GET" && method !== "HEAD") {
    send(response, 405, "text/plain", "GET or HEAD\n");
    return;
  }
  switch (url.split("?")[0]) {
    case "/healthz":
      send(response, 200, "text/plain", "ok\n");
      return;
    case "/readyz": {
      const status = options.status();
      send(response, status.ready ? 200 : 503, "application/json", `${JSON.stringify(status)}\n`);
      return;
    }
    case "/metrics": {
      const { body, contentType } = await options.metrics();
      send(response, 200, contentType, body);
      return;
    }
    case "/in-flight":
      send(response, 200, "application/json", `${JSON.stringify({ messages: options.inFlight() })}\n`);
      return;
    default:
      send(response, 404, "text/plain", "there are: /healthz /readyz /metrics /in-flight\n");
  }
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { "content-type": type, "cache-control": "no-store" }).end(body);
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

function namesLoopback(host: string | undefined): boolean {
  return host !== undefined && /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i.test(host);
}
