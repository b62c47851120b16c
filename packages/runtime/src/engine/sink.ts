import type { MetricReport } from "../api/metrics.js";

/** Where an attempt's logs, metrics and whereabouts go. */
export interface Sink {
  log(entry: LogEntry): void;
  metric(metric: MetricReport): void;
  /** User code of a node begins. `timeoutMs`: how long it may go on; 0: no limit. */
  enter(node: string, timeoutMs: number): void;
  /** A call with a time limit came to its end, or waits for what follows it. */
  leave(node: string): void;
}

export interface LogEntry {
  readonly severity: "DEBUG" | "INFO" | "WARNING" | "ERROR";
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly node: string;
}
