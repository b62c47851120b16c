import { type Metric, Metric_Kind } from "../../gen/worker_pb.js";
import type { MetricTotal } from "./events.js";

interface Total {
  readonly name: string;
  readonly node: string;
  readonly kind: MetricTotal["kind"];
  sum: number;
  last: number;
  count: number;
}

/** Distinct metrics that are kept; user code that makes up names without end must not fill the memory. */
const maxTotals = 10_000;

const kinds: Partial<Record<Metric_Kind, MetricTotal["kind"]>> = {
  [Metric_Kind.COUNTER]: "counter",
  [Metric_Kind.GAUGE]: "gauge",
  [Metric_Kind.TIMER]: "timer",
};

/** Adds up what workers report. */
export class MetricTotals {
  readonly #totals = new Map<string, Total>();

  add(metrics: readonly Metric[]): void {
    for (const { kind: wireKind, name, node, value } of metrics) {
      const kind = kinds[wireKind];
      const key = JSON.stringify([kind, node, name]);
      if (kind === undefined || (!this.#totals.has(key) && this.#totals.size >= maxTotals)) continue;
      const total = this.#totals.get(key) ?? { name, node, kind, sum: 0, last: 0, count: 0 };
      total.sum += value;
      total.last = value;
      total.count += 1;
      this.#totals.set(key, total);
    }
  }

  all(): MetricTotal[] {
    return [...this.#totals.values()].map(({ name, node, kind, sum, last, count }) => ({
      name,
      node,
      kind,
      value: kind === "counter" ? sum : kind === "gauge" ? last : sum / count,
      count,
    }));
  }
}
