import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EffectiveConfig } from "@klio/config/effective";
import type { Clock } from "../clock.js";
import { type AttemptResult, AttemptTimeout, runAttempt } from "../engine/attempt.js";
import { Cancellation } from "../engine/cancellation.js";
import type { Engine, LimitClient } from "../engine/engine.js";
import { type Graph, graphDigest } from "../engine/graph.js";
import { flushTelemetry, otelMetrics } from "../engine/otel-metrics.js";
import type { Sink } from "../engine/sink.js";
import type { TraceContext } from "../engine/tracing.js";
import type { Job } from "../api/define-job.js";
import type { KlioMessage } from "../message/index.js";
import type { ObjectStore } from "../objects/store.js";

/** One message to be taken through the job once. */
export interface Performance {
  readonly id: bigint;
  readonly klioId: string;
  /** Name of the event input it came from. */
  readonly source: string;
  readonly attempt: number;
  readonly message: KlioMessage;
  /** Milliseconds; 0: no limit. */
  readonly timeoutMs: number;
  readonly trace: TraceContext | undefined;
}

export interface PerformerOptions {
  readonly job: Job;
  readonly graph: Graph;
  readonly config: EffectiveConfig;
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly limits: LimitClient;
  readonly abandonAfterMs?: number;
}

/** Runs the job's code: its set-up, messages, its tear-down. */
export class Performer {
  readonly digest: string;
  readonly #running = new Map<bigint, Cancellation>();
  #draining = false;

  private constructor(
    readonly options: PerformerOptions,
    readonly engine: Engine,
  ) {
    this.digest = graphDigest(options.graph);
  }

  /** Throws what user code's `setup` throws. */
  static async make(options: PerformerOptions): Promise<Performer> {
    const { job, graph, config, store, clock, limits, abandonAfterMs } = options;
    const states = new Map<string, unknown>();
    for (const node of graph.nodes.values()) {
      if (node.transform.setup !== undefined) states.set(node.path, await node.transform.setup());
    }
    const backends = [otelMetrics(), ...(job.metrics?.(config) ?? [])];
    const made: Performer = new Performer(options, {
      config,
      graph,
      store,
      states,
      temporaryFolder: () => mkdtemp(join(tmpdir(), "item-")),
      draining: () => made.#draining,
      clock,
      limits,
      backends,
      abandonAfterMs,
    });
    return made;
  }

  /** Tells the result, and how many milliseconds it took. Never throws: what goes wrong is a failed result. */
  perform(what: Performance, sink: Sink, tell: (result: AttemptResult, ms: number) => void): void {
    const { id, klioId, source, attempt, message, timeoutMs, trace } = what;
    const started = performance.now();
    const cancellation = new Cancellation();
    this.#running.set(id, cancellation);
    const callOff =
      timeoutMs === 0
        ? undefined
        : this.engine.clock.after(timeoutMs, () => {
            cancellation.abort(new AttemptTimeout(`it took longer than ${timeoutMs} ms (delivery.timeout)`));
          });
    const input = { klioId, input: source, attempt, message, cancellation, trace };
    void runAttempt(this.engine, input, sink).then((result) => {
      callOff?.();
      // Inline, an attempt that was given up may end after the next has begun.
      if (this.#running.get(id) === cancellation) this.#running.delete(id);
      tell(result, performance.now() - started);
    });
  }

  cancel(id: bigint, reason: string): void {
    this.#running.get(id)?.abort(new Error(reason));
  }

  /** Nobody waits any more for a message whose code goes on all the same. */
  giveUp(id: bigint): void {
    this.#running.get(id)?.giveUp();
  }

  /** `ctx.draining` turns true. */
  drain(): void {
    this.#draining = true;
  }

  /** Ends what user code began, and goes on where that fails. `report` is told what failed. Never throws. */
  async tearDown(report: (message: string) => void): Promise<void> {
    const attempt = async (what: string, act: () => unknown) => {
      try {
        await act();
      } catch (error) {
        report(`${what} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      }
    };
    for (const { path, transform } of this.engine.graph.nodes.values()) {
      await attempt(`teardown of node ${path}`, () => transform.teardown?.(this.engine.states.get(path) as never));
    }
    for (const backend of this.engine.backends) await attempt("closing a metrics back-end", () => backend.close?.());
    await attempt("sending telemetry", flushTelemetry);
  }
}
