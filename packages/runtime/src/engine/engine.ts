import type { EffectiveConfig } from "@klio/config/effective";
import type { MetricsBackend } from "../api/metrics.js";
import type { Clock } from "../clock.js";
import type { KlioMessage } from "../message/index.js";
import type { ObjectStore } from "../objects/store.js";
import type { Cancellation } from "./cancellation.js";
import type { Graph } from "./graph.js";
import type { TraceContext } from "./tracing.js";

/** Everything an attempt needs that outlives it. */
export interface Engine {
  readonly config: EffectiveConfig;
  readonly graph: Graph;
  readonly store: ObjectStore;
  /** State of each node, from its `setup`. */
  readonly states: ReadonlyMap<string, unknown>;
  /** Makes a folder for an attempt's temporary files. */
  readonly temporaryFolder: () => Promise<string>;
  readonly draining: () => boolean;
  readonly clock: Clock;
  readonly limits: LimitClient;
  readonly backends: readonly MetricsBackend[];
  /** Where nobody can end user code from outside: milliseconds after its time is up it is given up. */
  readonly abandonAfterMs: number | undefined;
}

/** Places in limits that all workers of a job share. */
export interface LimitClient {
  /** Resolves, once there is one, to what gives the place back; further calls of that do nothing. `size` 0: as many as the configuration says. Rejects when `signal` aborts. */
  acquire(limit: string, size: number, signal: AbortSignal): Promise<() => void>;
}

export interface AttemptInput {
  readonly klioId: string;
  /** Name of the event input it came from. */
  readonly input: string;
  readonly attempt: number;
  readonly message: KlioMessage;
  readonly cancellation: Cancellation;
  readonly trace: TraceContext | undefined;
}
