import { Counter, Histogram } from "prom-client";

const received = new Counter({ name: "received", help: "Messages received." });
const ended = new Counter({ name: "ended", help: "Messages that came to an end.", labelNames: ["outcome"] });
const seconds = new Histogram({ name: "seconds", help: "From receipt to end.", labelNames: ["outcome"] });

/** A message came in. Returns what to call when it came to its end. */
export function count(): (outcome: "done" | "failed") => void {
  received.inc();
  const since = performance.now();
  return (outcome) => {
    ended.inc({ outcome });
    seconds.observe({ outcome }, (performance.now() - since) / 1_000);
  };
}
