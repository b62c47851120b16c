import type { MetricsLogger } from "@klio/config/effective";
import type { Emit } from "../supervisor/events.js";
import type { MetricTotals } from "./totals.js";

const everyMs = 60_000;

/** Prints the totals once a minute. Returns what prints them for the last time. */
export function logMetrics(totals: MetricTotals, logger: MetricsLogger | undefined, emit: Emit): () => void {
  if (logger === undefined) return () => undefined;
  const print = () => {
    const metrics = totals.all().map((m) => (m.kind === "timer" ? { ...m, value: m.value / logger.timer_unit_ns } : m));
    if (metrics.length > 0) emit({ event: "metrics", severity: logger.level.toUpperCase(), metrics });
  };
  const timer = setInterval(print, everyMs);
  timer.unref();
  return () => {
    clearInterval(timer);
    print();
  };
}
