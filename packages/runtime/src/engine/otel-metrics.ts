import { type Attributes, metrics, trace } from "@opentelemetry/api";
import type { MetricReport, MetricsBackend } from "../api/metrics.js";

type Record = (value: number, attributes: Attributes) => void;

/** User code's metrics in OpenTelemetry; they go nowhere until the job registers a provider (docs/guide/metrics.md). */
export function otelMetrics(): MetricsBackend {
  const instruments = new Map<string, Record>();
  return {
    report: ({ kind, name, node, tags, value }: MetricReport) => {
      const key = `${kind} ${name}`;
      let record = instruments.get(key);
      if (record === undefined) {
        record = instrument(kind, name);
        instruments.set(key, record);
      }
      record(value, { ...tags, "klio.node": node });
    },
  };
}

function instrument(kind: MetricReport["kind"], name: string): Record {
  const meter = metrics.getMeter("@klio/runtime");
  switch (kind) {
    case "counter": {
      const counter = meter.createCounter(name);
      return (value, attributes) => {
        counter.add(value, attributes);
      };
    }
    case "gauge": {
      const gauge = meter.createGauge(name);
      return (value, attributes) => {
        gauge.record(value, attributes);
      };
    }
    case "timer": {
      const histogram = meter.createHistogram(name, { unit: "s" });
      return (value, attributes) => {
        histogram.record(value / 1e9, attributes);
      };
    }
  }
}

interface Flushable {
  forceFlush(): Promise<void>;
}

/** Has spans and metrics that wait to be exported sent now; the API has no word for it, the providers of the SDK do. */
export async function flushTelemetry(): Promise<void> {
  const tracers = trace.getTracerProvider() as { getDelegate?(): unknown };
  const flushable = [tracers.getDelegate?.() ?? tracers, metrics.getMeterProvider()].filter(
    (p): p is Flushable => typeof (p as Partial<Flushable>).forceFlush === "function",
  );
  await Promise.allSettled(flushable.map((p) => p.forceFlush()));
}
