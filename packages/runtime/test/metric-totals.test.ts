import { describe, expect, it } from "vitest";
import { toMetric } from "../src/worker/results.js";
import { MetricTotals } from "../src/metrics/totals.js";

const counted = (name: string) => toMetric({ kind: "counter", name, node: "work", tags: {}, value: 1 });

describe("what user code reports", () => {
  it("is added up; beyond 10,000 different ones new ones are left out, which is said once", () => {
    const said: string[] = [];
    const totals = new MetricTotals((message) => said.push(message));
    totals.add(Array.from({ length: 10_000 }, (_, i) => counted(`m${i}`)));
    expect(said).toEqual([]);
    totals.add([counted("m0"), counted("one-more"), counted("m0"), counted("another")]);
    expect(totals.all()).toHaveLength(10_000);
    expect(totals.all().find((t) => t.name === "m0")).toMatchObject({ value: 3, count: 3 });
    expect(said).toEqual([expect.stringContaining(`"one-more" of node "work"`)]);
  });
});
