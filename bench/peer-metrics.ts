import { Counter, Gauge, Histogram } from "prom-client";

// The metrics that klio has of each message, counted as one does it with prom-client.
const received = new Counter({ name: "received", help: "Messages.", labelNames: ["input"] });
const bytes = new Counter({ name: "received_bytes", help: "Their bytes.", labelNames: ["input"] });
const inFlight = new Gauge({ name: "in_flight", help: "Messages in hand." });
const lag = new Histogram({ name: "lag_seconds", help: "From publishing to receipt." });
const attempts = new Counter({ name: "attempts", help: "Attempts." });
const transform = new Histogram({ name: "transform_seconds", help: "User code.", labelNames: ["node"] });
const ended = new Counter({ name: "ended", help: "Messages that came to an end.", labelNames: ["outcome"] });
const seconds = new Histogram({ name: "seconds", help: "From receipt to end.", labelNames: ["outcome"] });

export interface Count {
  /** Runs the job's code for it. */
  attempt<T>(code: () => T): T;
  end(outcome: "done" | "failed"): void;
}

/** A message came in. */
export function count(message: { readonly publishTime: Date; readonly data: Uint8Array }): Count {
  const since = Date.now();
  received.inc({ input: "noop" });
  bytes.inc({ input: "noop" }, message.data.length);
  inFlight.inc();
  lag.observe(Math.max(0, since - message.publishTime.getTime()) / 1_000);
  return {
    attempt: (code) => {
      attempts.inc();
      const began = performance.now();
      try {
        return code();
      } finally {
        transform.observe({ node: "noop" }, (performance.now() - began) / 1_000);
      }
    },
    end: (outcome) => {
      inFlight.dec();
      ended.inc({ outcome });
      seconds.observe({ outcome }, (Date.now() - since) / 1_000);
    },
  };
}
