import { type Metric, Metric_Kind } from "../../gen/worker_pb.js";

/** What user code reported under one name in one node with the same tags. */
export interface MetricTotal {
  readonly name: string;
  readonly node: string;
  readonly kind: "counter" | "gauge" | "timer";
  readonly tags: Readonly<Record<string, string>>;
  /** Counter: the sum. Gauge: the last value. Timer: the mean, in nanoseconds. */
  readonly value: number;
  /** How often it was reported. */
  readonly count: number;
}

interface Total {
  readonly name: string;
  readonly node: string;
  readonly kind: MetricTotal["kind"];
  readonly tags: Readonly<Record<string, string>>;
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
  #full = false;

  /** `onFull` is called once, when the first metric is left out because there are too many. */
  constructor(readonly onFull: (message: string) => void) {}

  add(metrics: readonly Metric[]): void {
    for (const { kind: wireKind, name, node, value, tags } of metrics) {
      const kind = kinds[wireKind];
      const key = JSON.stringify([kind, node, name, Object.entries(tags).sort()]);
      if (kind === undefined) continue;
      const known = this.#totals.get(key);
      if (known === undefined && this.#totals.size >= maxTotals) {
        this.#leftOut(name, node);
        continue;
      }
      const total = known ?? { name, node, kind, tags, sum: 0, last: 0, count: 0 };
      total.sum += value;
      total.last = value;
      total.count += 1;
      this.#totals.set(key, total);
    }
  }

  #leftOut(name: string, node: string): void {
    if (this.#full) return;
    this.#full = true;
    this.onFull(
      `there are ${maxTotals} different metrics already: "${name}" of node "${node}", and others that are new, are not counted; give tags fewer values`,
    );
  }

  all(): MetricTotal[] {
    return [...this.#totals.values()].map(({ name, node, kind, tags, sum, last, count }) => ({
      name,
      node,
      kind,
      tags,
      value: kind === "counter" ? sum : kind === "gauge" ? last : sum / count,
      count,
    }));
  }
}
