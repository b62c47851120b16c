import { metrics } from "@opentelemetry/api";
import type { PrometheusMetrics } from "./prometheus.js";

interface Value {
  readonly value: number;
  readonly labels: Readonly<Partial<Record<string, string | number>>>;
  readonly metricName?: string;
}

/**
 * The runtime's own metrics in OpenTelemetry, under the names that Prometheus has, as often as the provider asks. Without a
 * provider nothing ever does. Of a histogram, its sum and its count.
 */
export function observeByOtel(source: PrometheusMetrics): void {
  const meter = metrics.getMeter("@klio/runtime");
  for (const { name, help, kind } of source.describe()) {
    if (kind === "histogram") {
      for (const part of ["sum", "count"]) {
        observe(
          meter.createObservableCounter(`${name}_${part}`, { description: help }),
          (v) => v.metricName === `${name}_${part}`,
        );
      }
    } else {
      const options = { description: help };
      const made =
        kind === "counter" ? meter.createObservableCounter(name, options) : meter.createObservableGauge(name, options);
      observe(made, () => true);
    }

    function observe(
      instrument: ReturnType<typeof meter.createObservableGauge>,
      wanted: (value: Value) => boolean,
    ): void {
      instrument.addCallback(async (result) => {
        for (const value of await source.valuesOf(name))
          if (wanted(value)) result.observe(value.value, { ...value.labels });
      });
    }
  }
}
