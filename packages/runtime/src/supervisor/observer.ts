import type { Metric, Result } from "../../gen/worker_pb.js";
import type { OutcomeName } from "./outcome-name.js";
import type { Work } from "./work.js";

/** Is told what becomes of messages, to count it. */
export interface Observer {
  received(work: Work): void;
  /** An attempt came to an end, its worker's death included. */
  attempted(result: Result | undefined): void;
  /** An attempt counts against its message. */
  charged(code: string): void;
  ended(work: Work, outcome: OutcomeName): void;
  /** A worker died, and another takes its place. */
  restarted(): void;
  /** What user code reported. */
  reported(metrics: readonly Metric[]): void;
}

export const noObserver: Observer = {
  received: () => undefined,
  attempted: () => undefined,
  charged: () => undefined,
  ended: () => undefined,
  restarted: () => undefined,
  reported: () => undefined,
};
