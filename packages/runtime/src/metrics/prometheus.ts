import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { type Metric, Object_Write, type Result } from "../../gen/worker_pb.js";
import type { OutcomeName } from "../supervisor/outcome-name.js";
import type { Observer } from "../supervisor/observer.js";
import type { Work } from "../supervisor/work.js";
import { MetricTotals } from "./totals.js";
import { userMetricsText } from "./user-metrics.js";

/** Figures that are read when somebody asks. */
export interface Live {
  readonly inFlightMessages: number;
  readonly inFlightBytes: number;
  /** Seconds since the oldest message in hand was published. */
  readonly oldestSeconds: number;
  readonly ready: boolean;
  readonly workers: readonly { readonly number: number; readonly bytes: number }[];
}

// From a few milliseconds to hours: media jobs have all of them.
const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600];

/** The job's metrics as Prometheus reads them. Names and units: https://prometheus.io/docs/practices/naming/ */
export class PrometheusMetrics implements Observer {
  readonly totals: MetricTotals;
  readonly #registry = new Registry();
  readonly #received = this.#tally("klio_messages_received_total", "Messages received.", "input");
  readonly #receivedBytes = this.#tally("klio_message_bytes_received_total", "Bytes of messages received.", "input");
  readonly #ended = this.#tally("klio_messages_total", "Messages that came to an end, by outcome.", "outcome");
  readonly #attempts = this.#tally("klio_attempts_total", "Attempts at a message that came to an end.");
  readonly #charged = this.#tally("klio_attempts_charged_total", "Attempts that count against their message.", "code");
  readonly #restarts = this.#tally("klio_worker_restarts_total", "Workers that died and were replaced.");
  readonly #bytesRead = this.#tally("klio_object_bytes_read_total", "Bytes of input objects read.");
  readonly #bytesWritten = this.#tally("klio_object_bytes_written_total", "Bytes of output objects written.");
  readonly #lag = this.#histogram("klio_message_lag_seconds", "From a message's publishing to its receipt.", []);
  readonly #duration = this.#histogram("klio_message_duration_seconds", "From a message's receipt to its end.", [
    "outcome",
  ]);
  readonly #nodes = this.#histogram("klio_transform_duration_seconds", "User code of a node, for one message.", [
    "node",
  ]);

  /** `onTrouble` is told when user code reports more metrics than are kept. */
  constructor(
    readonly job: string,
    readonly live: () => Live,
    onTrouble: (message: string) => void,
  ) {
    this.totals = new MetricTotals(onTrouble);
    this.#registry.setDefaultLabels({ job });
    this.#registerLive();
  }

  /** The text that a scrape gets. */
  async text(): Promise<{ readonly body: string; readonly contentType: string }> {
    const own = await this.#registry.metrics();
    const users = await userMetricsText(this.totals.all(), this.job);
    return { body: own + users, contentType: this.#registry.contentType };
  }

  /** The runtime's own metrics, for other back-ends. */
  describe(): readonly {
    readonly name: string;
    readonly help: string;
    readonly kind: "counter" | "gauge" | "histogram";
  }[] {
    return this.#registry.getMetricsAsArray().map((metric) => {
      const { name, help } = metric;
      const kind = metric instanceof Histogram ? "histogram" : metric instanceof Counter ? "counter" : "gauge";
      return { name, help, kind };
    });
  }

  /** The values of one of them. */
  async valuesOf(name: string) {
    return (await this.#registry.getSingleMetric(name)?.get())?.values ?? [];
  }

  received({ delivery, receivedAt }: Work): void {
    this.#received.add(1, delivery.input);
    this.#receivedBytes.add(delivery.data.length, delivery.input);
    if (delivery.publishTime > 0) this.#lag.observe(Math.max(0, receivedAt - delivery.publishTime) / 1_000);
  }

  attempted(result: Result | undefined): void {
    this.#attempts.add(1);
    if (result === undefined) return;
    for (const { node, durationUs } of result.nodes) this.#nodes.observe({ node }, Number(durationUs) / 1e6);
    if (result.bytesRead > 0n) this.#bytesRead.add(Number(result.bytesRead));
    if (result.outcome.case !== "done") return;
    for (const object of result.outcome.value.objects) {
      if (object.write === Object_Write.UPLOADED) this.#bytesWritten.add(Number(object.size));
    }
  }

  charged(code: string): void {
    this.#charged.add(1, code);
  }

  ended(work: Work, outcome: OutcomeName): void {
    this.#ended.add(1, outcome);
    this.#duration.observe({ outcome }, (Date.now() - work.receivedAt) / 1_000);
  }

  restarted(): void {
    this.#restarts.add(1);
  }

  reported(metrics: readonly Metric[]): void {
    this.totals.add(metrics);
  }

  #registerLive(): void {
    const { live } = this;
    const registers = [this.#registry];
    const gauge = (name: string, help: string, read: (live: Live) => number) =>
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read(live()));
        },
      });
    gauge("klio_in_flight_messages", "Messages in hand.", (l) => l.inFlightMessages);
    gauge("klio_in_flight_bytes", "Bytes of the messages in hand.", (l) => l.inFlightBytes);
    gauge("klio_oldest_message_seconds", "Since the oldest message in hand was published.", (l) => l.oldestSeconds);
    gauge("klio_ready", "1 when the job takes in messages.", (l) => (l.ready ? 1 : 0));
    new Gauge({
      name: "klio_worker_memory_bytes",
      help: "Resident memory of a worker and what it started.",
      labelNames: ["worker"],
      registers,
      collect() {
        this.reset();
        for (const { number, bytes } of live().workers) this.set({ worker: String(number) }, bytes);
      },
    });
  }

  #tally(name: string, help: string, label?: string): Tally {
    const tally = new Tally();
    new Counter({
      name,
      help,
      labelNames: label === undefined ? [] : [label],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [value, count] of tally.counts) this.inc(label === undefined ? {} : { [label]: value }, count);
      },
    });
    return tally;
  }

  #histogram<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Histogram<Label> {
    return new Histogram({ name, help, labelNames: [...labelNames], buckets: seconds, registers: [this.#registry] });
  }
}

/** Counts that are read when somebody asks: to find a labelled counter for each message takes as long as to decode it. */
class Tally {
  /** By label. */
  readonly counts = new Map<string, number>();

  add(by: number, label = ""): void {
    this.counts.set(label, (this.counts.get(label) ?? 0) + by);
  }
}
