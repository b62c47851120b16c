import type { Log, Metric, Result } from "../../gen/worker_pb.js";
import type { Fatal } from "../worker/fatal.js";
import type { Work } from "./work.js";

/** What a worker runs. */
export interface Build {
  /** The built job; absolute. */
  readonly directory: string;
  /** Its effective configuration. */
  readonly configJson: string;
}

/** Why the supervisor ended a worker. */
export interface Killing {
  readonly code: "TIMEOUT" | "OUT_OF_MEMORY";
  readonly message: string;
  /** The message that gave the reason; absent when it cannot be told which one did. */
  readonly work: Work | undefined;
  /** It had no other message in hand. */
  readonly alone: boolean;
  /** Its event loop was blocked, so that any of its messages may be the reason. */
  readonly blocked: boolean;
}

/** What runs the job's code: a process of its own, or, inline, this one. */
export interface Worker {
  readonly number: number;
  /** 0 when it could not be started. */
  readonly pid: number;
  /** It is for messages that may have killed a worker: one at a time, with nothing beside it. */
  readonly quarantine: boolean;
  readonly inHand: ReadonlyMap<bigint, Work>;
  readonly build: Build | undefined;
  /** It takes messages. */
  readonly ready: boolean;
  /** It has been ready, whatever became of it since. */
  readonly wasReady: boolean;
  /** How many messages more it can take. */
  readonly room: number;
  /** How many bytes of them. One message it takes whatever its size, when it has none. */
  readonly roomBytes: number;
  /** Of the graph that it has built; empty before it was ready. */
  readonly graphDigest: string;
  /** Whether it has answered for a message yet. */
  readonly useful: boolean;
  readonly killing: Killing | undefined;
  /** Nothing was heard of it for a while. */
  readonly blocked: boolean;
  /** Gives the worker what it runs. Before that it only waits, with everything of its own loaded. */
  configure(build: Build): void;
  assign(works: readonly Work[]): void;
  /** Aborts the signal of a message's attempt. */
  cancel(work: Work, reason: string): void;
  /** Tells the worker that the job is stopping; `final`: that nothing more will come, so that it ends. */
  drain(final: boolean): void;
  /** Takes all messages off it: nobody is interested in its answers any more. */
  disown(): void;
  /** Ends the worker and everything it started. The first reason counts. */
  kill(why?: Killing): void;
}

export interface WorkerEvents {
  ready(worker: Worker): void;
  fatal(worker: Worker, failure: Fatal): void;
  result(worker: Worker, work: Work, result: Result): void;
  log(worker: Worker, work: Work | undefined, log: Log): void;
  metrics(metrics: readonly Metric[]): void;
  /** A message is in user code of a node; `timeoutMs` milliseconds at most, 0: no limit. */
  entered(worker: Worker, work: Work, node: string, timeoutMs: number): void;
  /** User code with a time limit has come to its end, or waits. */
  left(worker: Worker, work: Work, node: string): void;
  /** A line that user code printed. */
  printed(worker: Worker, stream: "stdout" | "stderr", line: string): void;
  died(worker: Worker, how: string): void;
}

export interface WorkerOptions {
  readonly number: number;
  readonly quarantine: boolean;
  readonly concurrency: number;
  /** Milliseconds an attempt may take; 0: no limit. */
  readonly timeoutMs: number;
}

/** Starts a worker. Throws when the system has no room for one. */
export type StartWorker = (options: WorkerOptions, events: WorkerEvents) => Worker;
