import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Result,
  SupervisorFrameSchema,
  type WorkerFrame,
  WorkerFrameSchema,
} from "../../packages/runtime/gen/worker_pb.js";
import { FrameChannel } from "../../packages/runtime/src/protocol/frames.js";
import { codecOf, encodeFrame } from "../../packages/runtime/test/support/library-frames.js";
import { root } from "./rig.js";

export type Frame = NonNullable<MessageInitShape<typeof SupervisorFrameSchema>["frame"]>;

/** A real worker process in the hands of a test, which plays its supervisor. */
export class DrivenWorker {
  /** What it said, heartbeats included. */
  readonly frames: WorkerFrame["frame"][] = [];
  /** What was wrong with what it said; absent at an orderly end. */
  error: Error | undefined;
  /** What it printed. */
  readonly noise: string[] = [];
  exited = false;
  readonly #child: ChildProcess;
  readonly #toWorker: Writable;
  readonly #lifeline: Writable;

  constructor(folder: string, environment: NodeJS.ProcessEnv = {}) {
    const temporary = join(folder, "tmp");
    mkdirSync(temporary, { recursive: true });
    // As packages/runtime/src/supervisor/worker-process.ts starts it.
    const child = spawn(process.execPath, ["--enable-source-maps", join(root, "dist/runtime/worker.js")], {
      stdio: ["ignore", "pipe", "pipe", "pipe", "pipe", "pipe"],
      detached: true,
      env: { ...process.env, TMPDIR: temporary, ...environment },
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (data: Buffer) => this.noise.push(data.toString()));
    }
    const [, , , toWorker, fromWorker, lifeline] = child.stdio as (Readable | Writable | null)[];
    this.#toWorker = toWorker as Writable;
    this.#lifeline = lifeline as Writable;
    for (const pipe of [this.#toWorker, this.#lifeline]) pipe.on("error", () => undefined); // it may be gone
    new FrameChannel(
      codecOf(SupervisorFrameSchema),
      this.#toWorker,
      codecOf(WorkerFrameSchema),
      fromWorker as Readable,
    ).receive(
      ({ frame }) => this.frames.push(frame),
      (error) => (this.error = error),
    );
    child.once("close", () => (this.exited = true));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  send(frame: Frame): void {
    this.write(encodeFrame(SupervisorFrameSchema, create(SupervisorFrameSchema, { frame })));
  }

  write(bytes: Uint8Array): void {
    if (this.#toWorker.writable) this.#toWorker.write(bytes);
  }

  /** No more will come. */
  end(): void {
    this.#toWorker.end();
  }

  results(): Result[] {
    return this.frames.flatMap((f) => (f.case === "results" ? f.value.results : []));
  }

  async until(condition: () => boolean, what: string, ms = 30_000): Promise<void> {
    const end = Date.now() + ms;
    while (!condition()) {
      if (Date.now() > end) {
        const said = this.frames.slice(-8).map((f) => f.case ?? "nothing");
        throw new Error(`waited in vain for: ${what}\nit said: ${said.join(", ")}\n${this.noise.slice(-3).join("")}`);
      }
      await sleep(5);
    }
  }

  /** Ends it and everything it started, if it has not ended. */
  async close(): Promise<void> {
    this.#lifeline.destroy();
    if (!this.exited) {
      try {
        process.kill(-this.pid, "SIGKILL");
      } catch {
        // gone already
      }
    }
    await this.until(() => this.exited, "the worker is gone");
  }
}
