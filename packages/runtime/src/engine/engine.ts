import type { EffectiveConfig } from "@klio/config/effective";
import type { KlioMessage } from "../message/index.js";
import type { ObjectStore } from "../objects/store.js";
import type { Graph } from "./graph.js";

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
}

export interface AttemptInput {
  readonly klioId: string;
  /** Name of the event input it came from. */
  readonly input: string;
  readonly attempt: number;
  readonly message: KlioMessage;
  readonly signal: AbortSignal;
}
