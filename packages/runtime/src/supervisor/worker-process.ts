import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Failure,
  type Log,
  type Metric,
  type Result,
  SupervisorFrameSchema,
  type WorkerFrame,
  WorkerFrameSchema,
} from "../../gen/worker_pb.js";
import { FrameChannel, piecesOf, protocolVersion } from "../protocol/frames.js";
import type { Work } from "./work.js";

export interface WorkerOptions {
  readonly number: number;
  /** Path of the worker's entry. */
  readonly entry: string;
  readonly concurrency: number;
  readonly timeoutMs: number;
  readonly environment: NodeJS.ProcessEnv;
}

/** What a worker runs. */
export interface Build {
  /** The built job; absolute. */
  readonly directory: string;
  /** Its effective configuration. */
  readonly configJson: string;
}

export interface WorkerEvents {
  ready(worker: WorkerProcess): void;
  fatal(worker: WorkerProcess, failure: Failure): void;
  result(worker: WorkerProcess, work: Work, result: Result): void;
  log(worker: WorkerProcess, work: Work | undefined, log: Log): void;
  metrics(metrics: readonly Metric[]): void;
  /** A line that user code printed. */
  printed(worker: WorkerProcess, stream: "stdout" | "stderr", line: string): void;
  died(worker: WorkerProcess, how: string): void;
}

const heartbeatMs = 1_000;
/** How long after its end a worker's pipes may stay open. */
const closeGraceMs = 1_000;
/** Without a heartbeat for this long, the worker's event loop is blocked. */
const blockedAfterMs = 2.5 * heartbeatMs;

/** One worker: a child in a process group of its own, and the messages it has in hand. */
export class WorkerProcess {
  readonly inHand = new Map<bigint, Work>();
  /** The message for whose timeout it was killed, and whether its event loop was blocked then. */
  killedFor: { readonly work: Work; readonly blocked: boolean } | undefined;
  build: Build | undefined;
  /** Whether it has answered for a message yet. */
  useful = false;
  readonly #child: ChildProcess;
  readonly #channel: FrameChannel<typeof SupervisorFrameSchema, typeof WorkerFrameSchema>;
  #credit = 0;
  #lastHeartbeat = Date.now();

  constructor(
    readonly options: WorkerOptions,
    readonly events: WorkerEvents,
  ) {
    this.#child = spawn(process.execPath, ["--enable-source-maps", options.entry], {
      // 3: frames to the worker, 4: frames from it, 5: its lifeline
      stdio: ["ignore", "pipe", "pipe", "pipe", "pipe", "pipe"],
      detached: true,
      env: options.environment,
    });
    const [, , , toWorker, fromWorker] = this.#child.stdio;
    this.#channel = new FrameChannel(
      SupervisorFrameSchema,
      toWorker as Writable,
      WorkerFrameSchema,
      fromWorker as Readable,
    );
    this.#listen();
  }

  /** Gives the worker what it runs. Before that it only waits, with everything of its own loaded. */
  configure(build: Build): void {
    const { concurrency } = this.options;
    this.build = build;
    this.#send({
      case: "configure",
      value: { configJson: build.configJson, jobDir: build.directory, concurrency, heartbeatMs },
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get ready(): boolean {
    return this.#credit > 0;
  }

  get room(): number {
    return Math.max(0, this.#credit - this.inHand.size);
  }

  /** Ends it because a message took too long. The first such message stands for it. */
  killFor(work: Work): void {
    this.killedFor ??= { work, blocked: Date.now() - this.#lastHeartbeat > blockedAfterMs };
    this.kill();
  }

  assign(works: readonly Work[]): void {
    const { timeoutMs } = this.options;
    for (const work of works) {
      work.starts += 1;
      this.inHand.set(work.id, work);
    }
    const inputs = works.map((work) => ({
      id: work.id,
      klioId: work.klioId,
      attempt: work.starts,
      message: work.encoded,
      source: work.delivery.input,
      timeoutMs,
    }));
    for (const piece of piecesOf(inputs, (input) => input.message.length + 200)) {
      this.#send({ case: "bundle", value: { inputs: piece } });
    }
  }

  cancel(work: Work, reason: string): void {
    this.#send({ case: "cancel", value: { id: work.id, reason } });
  }

  /** Tells the worker that the job is stopping; `final`: that nothing more will come, so that it ends. */
  drain(final: boolean): void {
    this.#send({ case: "drain", value: { final } });
  }

  /** Ends the worker and everything it started. */
  kill(): void {
    if (this.#child.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, "SIGKILL");
    } catch {
      // gone already
    }
  }

  #send(frame: NonNullable<MessageInitShape<typeof SupervisorFrameSchema>["frame"]>): void {
    this.#channel.send(create(SupervisorFrameSchema, { frame }));
  }

  #listen(): void {
    const { stdout, stderr } = this.#child;
    for (const [name, stream] of [
      ["stdout", stdout],
      ["stderr", stderr],
    ] as const) {
      if (stream === null) continue;
      createInterface({ input: stream, crlfDelay: Infinity }).on("line", (line) => {
        this.events.printed(this, name, line);
      });
    }
    const lifeline = (this.#child.stdio as readonly (Readable | Writable | null | undefined)[])[5];
    lifeline?.on("error", () => undefined);
    this.#channel.receive(
      (frame) => {
        this.#handle(frame.frame);
      },
      (error) => {
        if (error !== undefined) this.kill();
      },
    );
    let over = false;
    const end = (how: string) => {
      if (over) return;
      over = true;
      for (const pipe of this.#child.stdio) pipe?.destroy();
      this.events.died(this, how);
    };
    this.#child.once("exit", (code, signal) => {
      this.kill(); // what it started and left behind in its group, which may still hold its pipes open
      // What left the group may hold them for ever.
      const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
      setTimeout(end, closeGraceMs, how);
    });
    // "close" comes after the last byte of every pipe, so no result is lost with the process that sent it.
    this.#child.once("close", (code, signal) => {
      end(signal === null ? `exit code ${code}` : `signal ${signal}`);
    });
    this.#child.once("error", (error) => {
      end(error.message);
    });
  }

  #handle(frame: WorkerFrame["frame"]): void {
    this.#lastHeartbeat = Date.now();
    switch (frame.case) {
      case "hello":
        if (frame.value.protocol !== protocolVersion) this.kill();
        break;
      case "ready":
        this.#credit = frame.value.credit;
        this.events.ready(this);
        break;
      case "fatal":
        if (frame.value.failure !== undefined) this.events.fatal(this, frame.value.failure);
        break;
      case "results":
        for (const result of frame.value.results) this.#answer(result);
        break;
      case "log":
        this.events.log(this, this.inHand.get(frame.value.id), frame.value);
        break;
      case "metrics":
        this.events.metrics(frame.value.metrics);
        break;
      case "heartbeat":
      case "enter":
      case undefined:
        break;
    }
  }

  #answer(result: Result): void {
    const work = this.inHand.get(result.id);
    if (work === undefined) return;
    this.inHand.delete(result.id);
    this.useful = true;
    this.events.result(this, work, result);
  }
}
