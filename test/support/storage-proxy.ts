import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

export interface Passing {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Passed {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** What a network between client and service may do to what passes through it. Undefined: it is swallowed, and never answered. */
export interface Meddling {
  request?(passing: Passing): Passing | undefined;
  answer?(passed: Passed, passing: Passing): Passed;
}

/** Stands between a client and an emulator, whose faults are its own alone. Holds each body in memory. */
export class StorageProxy {
  meddling: Meddling = {};
  readonly passed: Passing[] = [];

  private constructor(
    readonly target: URL,
    readonly server: ReturnType<typeof createServer>,
  ) {}

  static async start(target: string): Promise<StorageProxy> {
    const server = createServer();
    const proxy = new StorageProxy(new URL(target), server);
    server.on("request", (incoming, outgoing) => {
      proxy.#pass(incoming, outgoing).catch(() => outgoing.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }

  async #pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { method = "GET", url = "/", headers } = incoming;
    const seen = { method, url, headers, body: await buffer(incoming) };
    this.passed.push(seen);
    const passing = this.meddling.request === undefined ? seen : this.meddling.request(seen);
    if (passing === undefined) return;
    const answer = await this.#forward(passing);
    const { status, headers: answered, body } = this.meddling.answer?.(answer, passing) ?? answer;
    outgoing.writeHead(status, answered);
    outgoing.end(body);
  }

  #forward({ method, url, headers, body }: Passing): Promise<Passed> {
    return new Promise((resolve, reject) => {
      const sent = request(new URL(url, this.target), { method, headers, agent: false }, (response) => {
        buffer(response).then((bytes) => {
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: bytes });
        }, reject);
      });
      sent.once("error", reject);
      sent.end(body);
    });
  }
}
