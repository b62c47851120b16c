import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import type { Readable, Writable } from "node:stream";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  Done_Kind,
  Failure_Kind,
  type Input,
  Object_Write,
  type Ready,
  type Result,
  type SupervisorFrame,
  SupervisorFrameSchema,
  type WorkerFrame,
} from "../../gen/worker_pb.js";
import { encodeMessage } from "../message/index.js";
import { supervisorFrames, workerFrames } from "../protocol/codec.js";
import { FrameChannel, piecesOf, ProtocolError, protocolVersion } from "../protocol/frames.js";
import { eachLine } from "./printed-lines.js";
import { Tickets } from "./tickets.js";
import type { Limits } from "../limits.js";
import type { Work } from "./work.js";
import type { Build, Killing, Worker, WorkerEvents, WorkerOptions } from "./worker.js";

export interface ProcessOptions extends WorkerOptions {
  /** Path of the worker's entry. */
  readonly entry: string;
  readonly limits: Limits;
  /** Its temporary files go here; the folder is made, and removed when the worker is dead. */
  readonly folder: string;
}

const heartbeatMs = 1_000;
/** How long after its end a worker's pipes may stay open. */
const closeGraceMs = 1_000;
/** Without a heartbeat for this long, the worker's event loop is blocked. */
const blockedAfterMs = 2.5 * heartbeatMs;

/** One worker: a child in a process group of its own, and the messages it has in hand. */
export class WorkerProcess implements Worker {
  readonly inHand = new Map<bigint, Work>();
  killing: Killing | undefined;
  build: Build | undefined;
  useful = false;
  graphDigest = "";
  readonly #child: ChildProcess;
  readonly #channel: FrameChannel<SupervisorFrame, WorkerFrame>;
  readonly #tickets: Tickets;
  #credit = 0;
  #creditBytes = Infinity;
  #lastHeartbeat = Date.now();
  /** It was killed, or has exited or closed its pipe: what it is given from now on it will not begin. */
  #ending = false;
  /** It was told to tear down and exit. */
  #final = false;
  /** How it broke the protocol, for which it is ended. */
  #breach: string | undefined;

  constructor(
    readonly options: ProcessOptions,
    readonly events: WorkerEvents,
  ) {
    mkdirSync(options.folder, { recursive: true });
    this.#child = spawn(process.execPath, ["--enable-source-maps", options.entry], {
      // 3: frames to the worker, 4: frames from it, 5: its lifeline
      stdio: ["ignore", "pipe", "pipe", "pipe", "pipe", "pipe"],
      detached: true,
      env: { ...process.env, TMPDIR: options.folder },
    });
    // That it could not be started is told of at the next tick, however the constructor ends.
    this.#child.on("error", () => undefined);
    const stdio = this.#child.stdio as ChildProcess["stdio"] | undefined;
    if (stdio === undefined) throw new Error("the process has no file descriptor left for it (see: ulimit -n)");
    const [, , , toWorker, fromWorker] = stdio;
    this.#channel = new FrameChannel(supervisorFrames, toWorker as Writable, workerFrames, fromWorker as Readable);
    this.#tickets = new Tickets(options.limits, (ticket) => {
      this.#send({ case: "grant", value: { ticket } });
    });
    this.#listen();
  }

  get number(): number {
    return this.options.number;
  }

  get quarantine(): boolean {
    return this.options.quarantine;
  }

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
    return this.#credit > 0 && !this.#ending;
  }

  get wasReady(): boolean {
    return this.#credit > 0;
  }

  get room(): number {
    return this.ready ? Math.max(0, this.#credit - this.inHand.size) : 0;
  }

  get roomBytes(): number {
    return this.#creditBytes - [...this.inHand.values()].reduce((sum, { delivery }) => sum + delivery.data.length, 0);
  }

  /** Without a heartbeat for a while its event loop is blocked. */
  get blocked(): boolean {
    return Date.now() - this.#lastHeartbeat > blockedAfterMs;
  }

  assign(works: readonly Work[]): void {
    const { timeoutMs } = this.options;
    for (const work of works) {
      work.starts += 1;
      this.inHand.set(work.id, work);
    }
    const inputs = works.map((work): Input => {
      const trace =
        work.trace === undefined ? undefined : ({ $typeName: "klio.worker.v1.Trace", ...work.trace } as const);
      return {
        $typeName: "klio.worker.v1.Input",
        id: work.id,
        klioId: work.klioId,
        attempt: work.starts,
        message: encodeMessage(work.message),
        source: work.delivery.input,
        timeoutMs,
        trace,
      };
    });
    for (const piece of piecesOf(inputs, (input) => input.message.length + 200)) {
      const value = { $typeName: "klio.worker.v1.Bundle", inputs: piece } as const;
      this.#channel.send({ $typeName: "klio.worker.v1.SupervisorFrame", frame: { case: "bundle", value } });
    }
  }

  cancel(work: Work, reason: string): void {
    this.#send({ case: "cancel", value: { id: work.id, reason } });
  }

  drain(final: boolean): void {
    if (this.#final) return;
    this.#final = final;
    this.#send({ case: "drain", value: { final } });
  }

  disown(): void {
    this.inHand.clear();
  }

  kill(why?: Killing): void {
    this.killing ??= why;
    this.#ending = true;
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
      eachLine(stream, (line) => {
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
        this.#breach = error?.message;
        // Nor may one that closed its pipe and lives on keep what it has in hand.
        this.kill();
      },
    );
    let over = false;
    const end = (how: string) => {
      if (over) return;
      over = true;
      for (const pipe of this.#child.stdio) pipe?.destroy();
      this.#tickets.close();
      // What cannot be removed now goes with the job's folder.
      void rm(this.options.folder, { recursive: true, force: true }).catch(() => undefined);
      this.events.died(this, this.#breach === undefined ? how : `it broke the protocol: ${this.#breach}`);
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
        if (frame.value.protocol !== protocolVersion) {
          throw new ProtocolError(`it speaks version ${frame.value.protocol}, not ${protocolVersion}`);
        }
        break;
      case "ready":
        this.#becomeReady(frame.value);
        break;
      case "fatal":
        if (frame.value.failure === undefined) throw new ProtocolError("a fatal error that says nothing");
        this.events.fatal(this, frame.value.failure);
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
      case "enter":
        this.#withWork(frame.value.id, (work) => {
          this.events.entered(this, work, frame.value.node, frame.value.timeoutMs);
        });
        break;
      case "leave":
        this.#withWork(frame.value.id, (work) => {
          this.events.left(this, work, frame.value.node);
        });
        break;
      case "acquire":
        this.#tickets.acquire(frame.value.ticket, frame.value.limit, frame.value.size);
        break;
      case "release":
        this.#tickets.release(frame.value.ticket);
        break;
      case "heartbeat":
      case undefined:
        break;
    }
  }

  #becomeReady({ credit, creditBytes, graphDigest }: Ready): void {
    if (credit === 0) throw new ProtocolError("it is ready for nothing (credit 0)");
    if (this.#credit > 0) throw new ProtocolError("it is ready a second time");
    this.#credit = credit;
    this.#creditBytes = creditBytes === 0n ? Infinity : Number(creditBytes);
    this.graphDigest = graphDigest;
    this.events.ready(this);
  }

  #withWork(id: bigint, then: (work: Work) => void): void {
    const work = this.inHand.get(id);
    if (work !== undefined) then(work);
  }

  #answer(result: Result): void {
    const work = this.inHand.get(result.id);
    if (work === undefined) return;
    if (!isKnown(result)) throw new ProtocolError("a result that says neither what was done nor what failed");
    this.inHand.delete(result.id);
    this.useful = true;
    this.events.result(this, work, result);
  }
}

/** Whether a result says what became of its input, in words of this version. */
function isKnown({ outcome }: Result): boolean {
  switch (outcome.case) {
    case "done":
      return outcome.value.kind in Done_Kind && outcome.value.objects.every((o) => o.write in Object_Write);
    case "failure":
      return outcome.value.kind in Failure_Kind;
    case undefined:
      return false;
  }
}
