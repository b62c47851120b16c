import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { rm, rmdir } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { type PubSubEmulator, startPubSub, startStorage, type StorageEmulator } from "@klio/emulators";
import { isAlive } from "@klio/runtime/processes";
import { elect } from "./election.js";
import { forgetKept, readKept, writeKept } from "./kept.js";
import type { SessionOptions } from "./options.js";
import { pubsubDirectory, type SessionKey, socketDirectory, stateDirectory } from "./paths.js";
import { type Hello, receive, send, sessionProtocol, type ToSession } from "./protocol.js";

/** How long a session waits for its first client. */
const firstClientMs = 15_000;

/**
 * Runs the session's emulators until the last client has left, but not before `starter`, the process that wants it, has come. Resolves
 * at once when another process does so already.
 */
export async function serveSession(key: SessionKey, options: SessionOptions, starter: number): Promise<void> {
  const server = new SessionServer(key, options, starter);
  await server.run();
}

class SessionServer {
  readonly #holders = new Set<Socket>();
  readonly #jobs = new Map<Socket, string>();
  readonly #watchers = new Map<Socket, string>();
  readonly #greeters = new Set<Socket>();
  #state: Hello["state"] = "candidate";
  #pubsub: PubSubEmulator | undefined;
  #storage: StorageEmulator | undefined;
  readonly #instance = randomUUID();
  readonly #server = createServer((socket) => {
    this.#accept(socket);
  });
  #over: () => void = () => undefined;
  #kept = false;
  /** Whether its starter has come, or has had time enough. */
  #awaited = false;
  #reset = false;

  constructor(
    readonly key: SessionKey,
    public options: SessionOptions,
    readonly starter: number,
  ) {}

  /** One that was to stay and was killed goes on as it was. */
  #takeOverKept(): void {
    const kept = readKept(this.key);
    if (kept === undefined) return;
    this.options = kept;
    this.#kept = true;
  }

  async run(): Promise<void> {
    this.#takeOverKept();
    const directory = socketDirectory(this.key);
    const root = join(stateDirectory(this.key), "storage");
    mkdirSync(root, { recursive: true, mode: 0o700 });
    const over = new Promise<void>((resolve) => {
      this.#over = resolve;
    });
    const seat = await elect(directory, {
      server: this.#server,
      setState: (state) => {
        // An owner is announced as such only when its emulators answer.
        if (state === "candidate") this.#state = state;
      },
    });
    if (seat === undefined) {
      this.#server.close();
      for (const socket of this.#greeters) socket.destroy();
      return;
    }
    const { host, pubsubPort, storagePort } = this.options;
    [this.#pubsub, this.#storage] = await Promise.all([
      startPubSub({
        host,
        port: pubsubPort,
        faults: this.options.faults.pubsub,
        ...(this.options.inMemory ? {} : { directory: pubsubDirectory(this.key) }),
      }),
      startStorage({ root, host, port: storagePort, faults: this.options.faults.storage }),
    ]);
    this.#state = "owner";
    const lonely = setTimeout(() => {
      this.#awaited = true;
      this.#endIfLonely();
    }, firstClientMs);
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, this.#over);
    await over;
    clearTimeout(lonely);
    await this.#close(seat, directory);
  }

  async #close(seat: string, directory: string): Promise<void> {
    this.#state = "ending";
    await Promise.all([this.#pubsub?.close(), this.#storage?.close()]);
    // While the seat is taken, nobody else uses the directory.
    if (this.#reset) await rm(pubsubDirectory(this.key), { recursive: true, force: true });
    await rm(seat, { force: true });
    this.#server.close();
    for (const socket of this.#greeters) socket.destroy();
    if (directory !== stateDirectory(this.key)) await rmdir(directory).catch(() => undefined); // others still use it
  }

  #endIfLonely(): void {
    // Somebody else may come and go meanwhile.
    const wanted = this.#kept || (!this.#awaited && isAlive(this.starter));
    if (this.#holders.size === 0 && !wanted) this.#over();
  }

  #hello(): Hello {
    const { pubsubPort, storagePort } = this.options;
    const moved = [
      ...(this.#pubsub !== undefined && pubsubPort !== 0 && this.#pubsub.port !== pubsubPort
        ? [`Pub/Sub: ${pubsubPort}`]
        : []),
      ...(this.#storage !== undefined && storagePort !== 0 && this.#storage.port !== storagePort
        ? [`Cloud Storage: ${storagePort}`]
        : []),
    ];
    return {
      type: "hello",
      protocol: sessionProtocol,
      instance: this.#instance,
      state: this.#state,
      project: this.key.project,
      pubsub: this.#pubsub?.address ?? "",
      storage: this.#storage?.url ?? "",
      root: this.#storage?.root ?? "",
      jobs: [...new Set(this.#jobs.values())],
      moved,
      kept: this.#kept,
      pid: process.pid,
      options: this.options,
    };
  }

  #accept(socket: Socket): void {
    this.#greeters.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#greeters.delete(socket);
      this.#jobs.delete(socket);
      this.#watchers.delete(socket);
      if (this.#holders.delete(socket)) this.#endIfLonely();
    });
    receive(socket, (message) => {
      this.#handle(socket, message as ToSession);
    });
    send(socket, this.#hello());
  }

  #handle(socket: Socket, message: ToSession): void {
    switch (message.type) {
      case "hold":
        if (this.#state !== "owner") {
          send(socket, { type: "refused" });
          break;
        }
        this.#holders.add(socket);
        if (message.pid === this.starter) this.#awaited = true;
        send(socket, { type: "held" });
        break;
      case "keep":
        this.#kept = this.#state === "owner";
        if (this.#kept) writeKept(this.key, this.options);
        send(socket, { type: this.#kept ? "held" : "refused" });
        break;
      case "stop":
        forgetKept(this.key);
        this.#reset = message.reset;
        this.#over();
        break;
      case "job":
        this.#jobs.set(socket, message.name);
        break;
      case "watch":
        this.#watchers.set(socket, message.job);
        send(socket, { type: "held" });
        break;
      case "outcome":
        for (const [watcher, job] of this.#watchers) {
          if (job === "*" || job === message.outcome.job) send(watcher, { type: "outcome", outcome: message.outcome });
        }
        break;
    }
  }
}
