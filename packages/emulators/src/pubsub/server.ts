import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Publisher, Subscriber } from "../../gen/google/pubsub/v1/pubsub_pb.js";
import { listenOrNext } from "../listen.js";
import { Broker } from "./broker/broker.js";
import { unavailable } from "./errors.js";
import { type FaultEvent, type Faults, FaultSchedule } from "./faults.js";
import { diskStorage, memoryStorage, type PubSubStorage } from "./log/storage.js";
import { maxRequestBytes } from "./message.js";
import type { Observe } from "./observe.js";
import { publisherService } from "./services/publisher.js";
import { withReset } from "./services/reset.js";
import { subscriberService } from "./services/subscriber.js";
import { answerUnknown } from "./services/unknown.js";

export interface PubSubOptions {
  /** Address to bind. Default 127.0.0.1. */
  readonly host?: string;
  /** Port to try first; when it is taken, a free one is used. Default 0: any free port. */
  readonly port?: number;
  /** Where messages, topics and subscriptions are kept. Left out: in memory, until `close`. */
  readonly directory?: string;
  /**
   * When what was confirmed is on the disk. "os": handed to the operating system, so it survives the end of this process
   * (kill -9 too), not that of the machine. "always": on the disk itself; each request waits for it. Default "os".
   */
  readonly sync?: "os" | "always";
  /** What goes wrong on purpose. */
  readonly faults?: Faults;
  /** Called for everything that happens to messages, as it happens. */
  readonly observe?: Observe;
  /** Called for every fault that strikes. */
  readonly onFault?: (event: FaultEvent) => void;
  /** Called with a sentence when stored data cannot be read or written. Default: a line on stderr. */
  readonly warn?: (text: string) => void;
  /** Milliseconds since the epoch. Default: the machine's clock. */
  readonly now?: () => number;
}

export interface PubSubEmulator {
  /** `host:port`, the value for PUBSUB_EMULATOR_HOST. */
  readonly address: string;
  readonly port: number;
  /** Changes what goes wrong on purpose; the schedule begins anew. Throws RangeError. */
  setFaults(faults: Faults): void;
  /** Breaks all connections, starts anew from what is stored, and listens on the same port again. */
  restart(): Promise<void>;
  /** Ends every connection and frees the port. What is stored in a directory stays. */
  close(): Promise<void>;
}

/**
 * Starts a Pub/Sub emulator (gRPC). Rejects when the address cannot be bound, and with a DirectoryInUseError when another
 * emulator runs on the directory.
 */
export async function startPubSub(options: PubSubOptions = {}): Promise<PubSubEmulator> {
  const storage = options.directory === undefined ? memoryStorage() : diskStorage(options.directory);
  const emulator = new Emulator(options, storage);
  try {
    await emulator.listen();
  } catch (error) {
    storage.release();
    throw error;
  }
  return emulator;
}

class Emulator implements PubSubEmulator {
  readonly #host: string;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #faults: FaultSchedule;
  #broker: Broker;
  #server: Http2Server | undefined;
  #restarting: Promise<void> | undefined;
  #closed = false;
  port: number;

  constructor(
    readonly options: PubSubOptions,
    readonly storage: PubSubStorage,
  ) {
    this.#host = options.host ?? "127.0.0.1";
    this.port = options.port ?? 0;
    this.#faults = new FaultSchedule(options.faults ?? {}, options.onFault);
    this.#broker = this.#openBroker();
  }

  get address(): string {
    return `${this.#host}:${this.port}`;
  }

  async listen(): Promise<void> {
    const handler = connectNodeAdapter({
      grpc: true,
      grpcWeb: false,
      connect: false,
      // The service counts the messages; the envelope around them needs some room of its own.
      readMaxBytes: 2 * maxRequestBytes,
      // Both ends are on one machine: packing costs more than it saves.
      compressMinBytes: Number.MAX_SAFE_INTEGER,
      contextValues: withReset,
      fallback: answerUnknown,
      routes: (router) => {
        router.service(
          Publisher,
          publisherService(this.#broker, () => {
            if (this.#faults.strikes("restart")) setImmediate(() => void this.restart());
          }),
        );
        router.service(Subscriber, subscriberService(this.#broker));
      },
    });
    this.#server = createServer(
      { maxSessionMemory: 256, settings: { initialWindowSize: 1 << 20, maxConcurrentStreams: 4_096 } },
      handler,
    );
    this.#server.on("session", (session) => {
      this.#sessions.add(session);
      const forget = () => this.#sessions.delete(session);
      session.on("close", forget);
      session.on("error", forget);
    });
    this.port = await listenOrNext(this.#server, { host: this.#host, port: this.port });
  }

  setFaults(faults: Faults): void {
    this.#faults.set(faults);
  }

  restart(): Promise<void> {
    this.#restarting ??= this.#startAnew().finally(() => {
      this.#restarting = undefined;
    });
    return this.#restarting;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#restarting;
    await this.#stop(true);
    this.storage.release();
  }

  async #startAnew(): Promise<void> {
    if (this.#closed) return;
    await this.#stop(false);
    this.#broker = this.#openBroker();
    await this.listen();
  }

  async #stop(tidy: boolean): Promise<void> {
    const server = this.#server;
    this.#broker.close(unavailable("the emulator ends"), tidy);
    await new Promise<void>((resolve) => {
      if (server === undefined) {
        resolve();
        return;
      }
      server.close(() => {
        resolve();
      });
      for (const session of this.#sessions) session.destroy();
    });
  }

  #openBroker(): Broker {
    const { options } = this;
    return new Broker({
      storage: this.storage,
      syncAlways: options.sync === "always",
      faults: this.#faults,
      observe: options.observe,
      warn: options.warn ?? ((text) => process.stderr.write(`Pub/Sub emulator: ${text}\n`)),
      now: options.now ?? Date.now,
    });
  }
}
