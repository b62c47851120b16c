/** Where an attempt's logs, metrics and whereabouts go. */
export interface Sink {
  log(entry: LogEntry): void;
  metric(metric: MetricEntry): void;
  enter(node: string): void;
}

export interface LogEntry {
  readonly severity: "DEBUG" | "INFO" | "WARNING" | "ERROR";
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly node: string;
}

export interface MetricEntry {
  readonly kind: "counter" | "gauge" | "timer";
  readonly name: string;
  readonly node: string;
  /** Increment, value, or nanoseconds. */
  readonly value: number;
}
