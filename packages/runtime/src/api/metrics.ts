/** Names and values that tell the figures of one metric apart, e.g. `{ codec: "opus" }`. Few different values: each is kept, up to 10,000 in all. */
export type Tags = Readonly<Record<string, string>>;

/** Figures of the transform at hand; a name means the same within it. They go to every back-end (docs/guide/metrics.md). */
export interface Metrics {
  counter(name: string, tags?: Tags): Counter;
  gauge(name: string, tags?: Tags): Gauge;
  /** Starts a timer. */
  timer(name: string, tags?: Tags): Timer;
}

export interface Counter {
  /** Adds to the counter. Default: 1. Throws a TypeError for what is no finite number, or below zero. */
  inc(by?: number): void;
}

export interface Gauge {
  /** Reports a value; the last one counts. Throws a TypeError for what is no finite number. */
  set(value: number): void;
}

export interface Timer {
  /** Reports the time since `timer(…)`; once, further calls do nothing. Returns nanoseconds. */
  stop(): number;
}

/** A figure as user code reported it. */
export interface MetricReport {
  readonly kind: "counter" | "gauge" | "timer";
  readonly name: string;
  /** Path of the node. */
  readonly node: string;
  readonly tags: Tags;
  /** Increment of a counter, value of a gauge, nanoseconds of a timer. */
  readonly value: number;
}

/**
 * A place of one's own for metrics: `defineJob({ metrics: () => [backend], … })`. It lives in each worker. What it throws is logged
 * and hurts no message.
 */
export interface MetricsBackend {
  /** Called for every figure, at once. */
  report(metric: MetricReport): void;
  /** Called when a worker ends in order, after every `teardown`; a job that stops waits two seconds for both. */
  close?(): void | Promise<void>;
}
