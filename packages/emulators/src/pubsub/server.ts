import { createServer, type ServerHttp2Session } from "node:http2";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Publisher, Subscriber } from "../../gen/google/pubsub/v1/pubsub_pb.js";
import { listenOrNext } from "../listen.js";
import { Broker } from "./broker.js";
import { maxRequestBytes } from "./message.js";
import type { Observe } from "./observe.js";
import { publisherService } from "./publisher.js";
import { subscriberService } from "./subscriber.js";

export interface PubSubOptions {
  /** Address to bind. Default 127.0.0.1. */
  readonly host?: string;
  /** Port to try first; when it is taken, a free one is used. Default 0: any free port. */
  readonly port?: number;
  /** Called for everything that happens to messages, as it happens. */
  readonly observe?: Observe;
}

export interface PubSubEmulator {
  /** `host:port`, the value for PUBSUB_EMULATOR_HOST. */
  readonly address: string;
  readonly port: number;
  /** Ends every connection and frees the port. */
  close(): Promise<void>;
}

/** Starts a Pub/Sub emulator (gRPC, in memory). Rejects when the address cannot be bound. */
export async function startPubSub(options: PubSubOptions = {}): Promise<PubSubEmulator> {
  const host = options.host ?? "127.0.0.1";
  const broker = new Broker(options.observe);
  const handler = connectNodeAdapter({
    grpc: true,
    grpcWeb: false,
    connect: false,
    // The service counts the messages; the envelope around them needs some room of its own.
    readMaxBytes: 2 * maxRequestBytes,
    routes(router) {
      router.service(Publisher, publisherService(broker));
      router.service(Subscriber, subscriberService(broker));
    },
  });
  const server = createServer(
    { maxSessionMemory: 256, settings: { initialWindowSize: 1 << 20, maxConcurrentStreams: 4_096 } },
    handler,
  );
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", () => sessions.delete(session));
  });
  const port = await listenOrNext(server, { host, port: options.port ?? 0 });
  return {
    address: `${host}:${port}`,
    port,
    close: () =>
      new Promise((resolve) => {
        broker.close();
        server.close(() => {
          resolve();
        });
        for (const session of sessions) session.destroy();
      }),
  };
}
