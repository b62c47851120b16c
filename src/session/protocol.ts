import { createInterface } from "node:readline";
import type { Socket } from "node:net";
import { jsonLine } from "@klio/runtime/json-line";
import type { SessionOptions } from "./options.js";

// One JSON object a line, over a Unix socket that only the user can open.

export const sessionProtocol = 3;

export interface SessionAddresses {
  /** `host:port`. */
  readonly pubsub: string;
  /** `http://host:port`. */
  readonly storage: string;
  /** The folder with a folder for each bucket. */
  readonly root: string;
}

export interface Hello extends SessionAddresses {
  readonly type: "hello";
  readonly protocol: number;
  readonly instance: string;
  /** Only an owner serves; a candidate may still give way, an ending one goes. */
  readonly state: "candidate" | "owner" | "ending";
  readonly project: string;
  /** Names of the jobs that run in the session. */
  readonly jobs: readonly string[];
  /** Usual ports that were taken, e.g. `Pub/Sub: 8085`. */
  readonly moved: readonly string[];
  /** It stays when its last client leaves: it was started by hand. */
  readonly kept: boolean;
  readonly pid: number;
  /** How its emulators were started. */
  readonly options: SessionOptions;
}

/** What became of a message, as the job's runtime reports it. */
export interface Outcome {
  readonly job: string;
  readonly message_id: string;
  readonly outcome: string;
  readonly [key: string]: unknown;
}

export type FromSession =
  | Hello
  | { readonly type: "held" }
  | { readonly type: "refused" }
  | { readonly type: "outcome"; readonly outcome: Outcome };

export type ToSession =
  /** Keep the session alive for as long as this connection is open. */
  | { readonly type: "hold"; readonly pid: number }
  /** Stay when the last client leaves. */
  | { readonly type: "keep" }
  /** End now, and delete what Pub/Sub has stored if that is wanted. */
  | { readonly type: "stop"; readonly reset: boolean }
  /** A job runs for as long as this connection is open. */
  | { readonly type: "job"; readonly name: string }
  | { readonly type: "outcome"; readonly outcome: Outcome }
  /** Send this job's outcomes from now on; `*`: those of all jobs. */
  | { readonly type: "watch"; readonly job: string };

export function send(socket: Socket, message: FromSession | ToSession): void {
  if (socket.writable) socket.write(jsonLine(message));
}

/** Calls `handle` for each message of the peer; lines that are no JSON are left out. */
export function receive(socket: Socket, handle: (message: unknown) => void): void {
  const lines = createInterface({ input: socket, crlfDelay: Infinity });
  lines.on("error", () => undefined); // readline passes the socket's on; whoever owns the socket deals with them
  lines.on("line", (line) => {
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch {
      return;
    }
    handle(message);
  });
}
