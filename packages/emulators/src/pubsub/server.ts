import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Publisher, Subscriber } from "../../gen/google/pubsub/v1/pubsub_pb.js";
import { addressOf, listen, listenOrNext, reachable } from "../listen.js";
import { Broker } from "./broker/broker.js";
import { unavailable } from "./errors.js";
import type { FaultEvent } from "../fault-schedule.js";
import { type FaultKind, type Faults, PubSubFaults } from "./faults.js";
import { diskStorage, memoryStorage, type PubSubStorage } from "./log/storage.js";
import { maxRequestBytes } from "./message.js";
import type { Observe } from "./observe.js";
import { withLegibleMessages } from "./services/legible.js";
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
  readonly onFault?: (event: FaultEvent<FaultKind>) => void;
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
  const faults = new PubSubFaults(options.faults ?? {}, options.onFault);
  const storage =
    options.directory === undefined ? memoryStorage() : diskStorage(options.directory, options.sync === "always");
  try {
    const emulator = new Emulator(options, faults, storage);
    await emulator.open();
    return emulator;
  } catch (error) {
    storage.release();
    throw error;
  }
}

/**
 * Calls at a time on one connection; a client queues the rest (the service takes 100). HTTP/2 sends all bodies side by side:
 * of a thousand publish requests of 100 KB none is whole before nearly all are, and all of them lie in memory.
 */
const maxConcurrentStreams = 256;
/** Bytes that a client may send before it has to wait. */
const connectionWindow = 16 * 1024 * 1024;

class Emulator implements PubSubEmulator {
  readonly #host: string;
  readonly #sessions = new Set<ServerHttp2Session>();
  #broker: Broker | undefined;
  #server: Http2Server | undefined;
  #restarting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  port: number;

  constructor(
    readonly options: PubSubOptions,
    readonly faults: PubSubFaults,
    readonly storage: PubSubStorage,
  ) {
    this.#host = options.host ?? "127.0.0.1";
    this.port = options.port ?? 0;
  }

  get address(): string {
    return addressOf(reachable(this.#host), this.port);
  }

  /** Binds the address first: a broker works from the moment it is there. */
  async open(samePort = false): Promise<void> {
    const server = createServer({
      maxSessionMemory: 256,
      settings: { initialWindowSize: 1 << 20, maxConcurrentStreams },
    });
    server.on("session", (session) => {
      this.#sessions.add(session);
      // The window of HTTP/2, 64 KiB, would let a publisher wait for an answer after each 60 messages.
      session.setLocalWindowSize(connectionWindow);
      const forget = () => this.#sessions.delete(session);
      session.on("close", forget);
      session.on("error", forget);
    });
    const listening = samePort ? listen(server, this.#host, this.port) : listenOrNext(server, this.#host, this.port);
    this.port = await listening;
    this.#server = server;
    try {
      this.#broker = this.#openBroker();
    } catch (error) {
      await this.#stop(false);
      throw error;
    }
    server.on("request", this.#handler(this.#broker));
  }

  setFaults(faults: Faults): void {
    this.faults.set(faults);
  }

  restart(): Promise<void> {
    this.#restarting ??= this.#startAnew().finally(() => {
      this.#restarting = undefined;
    });
    return this.#restarting;
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    await this.#restarting?.catch(() => undefined); // whoever asked for it has been told
    try {
      await this.#stop(true);
    } finally {
      this.storage.release();
    }
  }

  async #startAnew(): Promise<void> {
    if (this.#closing !== undefined) return;
    await this.#stop(false);
    await this.open(true);
  }

  /** `tidy`: not as if it were killed. */
  async #stop(tidy: boolean): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#broker?.close(unavailable("the emulator ends"), tidy);
    this.#broker = undefined;
    if (server === undefined) return;
    await new Promise<void>((resolve) => {
      server.close(() => {
        resolve();
      });
      for (const session of this.#sessions) session.destroy();
    });
  }

  #handler(broker: Broker) {
    const published = () => {
      if (!this.faults.strikes("restart")) return;
      setImmediate(() => {
        this.restart().catch((error: unknown) => {
          this.#warn(`it could not start anew: ${(error as Error).message}`);
        });
      });
    };
    return withLegibleMessages(
      connectNodeAdapter({
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
          router.service(Publisher, publisherService(broker, published));
          router.service(Subscriber, subscriberService(broker));
        },
      }),
    );
  }

  #warn(text: string): void {
    if (this.options.warn === undefined) process.stderr.write(`Pub/Sub emulator: ${text}\n`);
    else this.options.warn(text);
  }

  #openBroker(): Broker {
    const { options } = this;
    return new Broker({
      storage: this.storage,
      faults: this.faults,
      observe: options.observe,
      warn: (text) => {
        this.#warn(text);
      },
      now: options.now ?? Date.now,
    });
  }
}
