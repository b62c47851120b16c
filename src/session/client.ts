import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { KlioError } from "../errors.js";
import { controlFiles, greet } from "./control.js";
import { defaultOptions, type SessionOptions } from "./options.js";
import { type SessionKey, socketDirectory, stateDirectory } from "./paths.js";
import {
  type FromSession,
  type Hello,
  type Outcome,
  send,
  type SessionAddresses,
  sessionProtocol,
} from "./protocol.js";

/** A connection to the session of a project. */
export interface Session extends SessionAddresses {
  readonly instance: string;
  readonly jobs: readonly string[];
  readonly moved: readonly string[];
  /** It stays when its last client leaves: it was started by hand. */
  readonly kept: boolean;
  readonly pid: number;
  /** How its emulators were started. */
  readonly options: SessionOptions;
  /** Whether this call started it. */
  readonly started: boolean;
  /** Tells the session that a job runs, for as long as this connection is open. */
  announceJob(name: string): void;
  reportOutcome(outcome: Outcome): void;
  /** Calls `handle` for each outcome of the job from now on; resolves once none can be missed. */
  watch(job: string, handle: (outcome: Outcome) => void): Promise<void>;
  /** Calls `handle` when the session has gone. */
  onGone(handle: () => void): void;
  /** Lets the session stay when its last client has left. */
  keep(): Promise<boolean>;
  /** Ends the session for everybody, `reset` with what its Pub/Sub has stored; resolves once its process has let go of everything. */
  stop(reset: boolean): Promise<void>;
  leave(): void;
}

const startMs = 20_000;
const againMs = 20;
const maxStarts = 20;

/** Joins the live session of a project without keeping it alive. Undefined when there is none. */
export async function findSession(key: SessionKey): Promise<Session | undefined> {
  const found = await greetOwner(key);
  return found === undefined ? undefined : new Connection(found.socket, found.hello, false);
}

/**
 * Joins the session of a project and keeps it alive, starting it when there is none. `entry` is the session process's module.
 * Throws a KlioError when it does not start.
 */
export async function joinSession(
  key: SessionKey,
  entry: string,
  options: SessionOptions = defaultOptions,
): Promise<Session> {
  const end = Date.now() + startMs;
  let process: StartedProcess | undefined;
  let starts = 0;
  while (Date.now() < end) {
    const found = await greetOwner(key);
    if (found !== undefined) {
      const connection = new Connection(found.socket, found.hello, found.hello.pid === process?.pid);
      if (await connection.hold()) return connection;
      connection.leave();
    } else if (process?.failed === true) {
      break;
    } else if ((process === undefined || process.ended) && starts < maxStarts) {
      // Ours may have given way to another that is gone by now.
      process = startProcess(key, entry, options);
      starts += 1;
    }
    await sleep(againMs);
  }
  const log = logPath(key);
  const tail = readTail(log);
  throw new KlioError("SESSION_START", `the local session of project ${key.project} did not start`, {
    hint: `Its log is ${log}`,
    details: tail === "" ? [] : [tail],
  });
}

async function greetOwner(key: SessionKey): Promise<{ socket: Socket; hello: Hello } | undefined> {
  for (const file of await controlFiles(socketDirectory(key))) {
    const found = await greet(file.path);
    if (found === "refused") continue;
    if (found === "silent") {
      throw new KlioError("SESSION_SILENT", `the local session of project ${key.project} does not answer`, {
        hint: "Its process is stopped or busy. Try again, or end it.",
      });
    }
    if (found.hello.state === "owner" && found.hello.project === key.project) {
      if (found.hello.protocol === sessionProtocol) return found;
      found.socket.destroy();
      throw new KlioError("SESSION_VERSION", "the running local session is of another version of klio", {
        hint: `End it, then try again: kill ${String(found.hello.pid)}`,
      });
    }
    found.socket.destroy();
  }
  return undefined;
}

interface StartedProcess {
  readonly pid: number | undefined;
  ended: boolean;
  failed: boolean;
}

function startProcess(key: SessionKey, entry: string, options: SessionOptions): StartedProcess {
  mkdirSync(stateDirectory(key), { recursive: true, mode: 0o700 });
  const log = openSync(logPath(key), "a", 0o600);
  // A program of a job's may start it for everybody: it does not die with that program (packages/runtime/src/engine/programs.ts).
  const { KLIO_PROGRAM: _, ...env } = process.env;
  const child = spawn(process.execPath, [entry, JSON.stringify({ key, options, starter: process.pid })], {
    detached: true,
    env,
    stdio: ["ignore", log, log],
    cwd: stateDirectory(key),
  });
  const state: StartedProcess = { pid: child.pid, ended: false, failed: false };
  child.once("error", () => {
    state.failed = true;
  });
  child.once("exit", (code) => {
    state.ended = true;
    state.failed = code !== 0 && code !== null;
  });
  child.unref();
  closeSync(log);
  return state;
}

function logPath(key: SessionKey): string {
  return join(stateDirectory(key), "session.log");
}

function readTail(path: string): string {
  try {
    return readFileSync(path, "utf8").trim().split("\n").slice(-5).join("\n");
  } catch {
    return "";
  }
}

class Connection implements Session {
  readonly pubsub: string;
  readonly storage: string;
  readonly root: string;
  readonly instance: string;
  readonly jobs: readonly string[];
  readonly moved: readonly string[];
  readonly kept: boolean;
  readonly pid: number;
  readonly options: SessionOptions;

  constructor(
    readonly socket: Socket,
    hello: Hello,
    readonly started: boolean,
  ) {
    this.pubsub = hello.pubsub;
    this.storage = hello.storage;
    this.root = hello.root;
    this.instance = hello.instance;
    this.jobs = hello.jobs;
    this.moved = hello.moved;
    this.kept = hello.kept;
    this.pid = hello.pid;
    this.options = hello.options;
  }

  async hold(): Promise<boolean> {
    return this.#ask({ type: "hold", pid: process.pid });
  }

  keep(): Promise<boolean> {
    return this.#ask({ type: "keep" });
  }

  async stop(reset: boolean): Promise<void> {
    const gone = new Promise<void>((resolve) => this.socket.once("close", resolve));
    send(this.socket, { type: "stop", reset });
    await gone;
  }

  announceJob(name: string): void {
    send(this.socket, { type: "job", name });
  }

  reportOutcome(outcome: Outcome): void {
    send(this.socket, { type: "outcome", outcome });
  }

  async watch(job: string, handle: (outcome: Outcome) => void): Promise<void> {
    this.socket.on("message", (message: FromSession) => {
      if (message.type === "outcome") handle(message.outcome);
    });
    await this.#ask({ type: "watch", job });
  }

  onGone(handle: () => void): void {
    this.socket.once("close", handle);
  }

  leave(): void {
    this.socket.removeAllListeners("close");
    this.socket.destroy();
  }

  #ask(question: Parameters<typeof send>[1]): Promise<boolean> {
    return new Promise((resolve) => {
      const answer = (message: FromSession) => {
        if (message.type !== "held" && message.type !== "refused") return;
        this.socket.off("message", answer);
        resolve(message.type === "held");
      };
      this.socket.on("message", answer);
      this.socket.once("close", () => {
        resolve(false);
      });
      send(this.socket, question);
    });
  }
}
