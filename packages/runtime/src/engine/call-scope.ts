import type { AttemptInput, Engine } from "./engine.js";
import type { ItemObjects } from "./item-objects.js";
import type { NodeTimes } from "./node-times.js";
import type { Sink } from "./sink.js";

/** What the calls of one attempt have in common. */
export interface CallScope {
  readonly engine: Engine;
  readonly input: AttemptInput;
  readonly objects: ItemObjects;
  readonly sink: Sink;
  readonly times: NodeTimes;
}
