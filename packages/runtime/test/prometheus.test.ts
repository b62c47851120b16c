import { describe, expect, it } from "vitest";
import { defineJob, defineTransform, type MetricReport } from "@klio/runtime";
import { testJob } from "@klio/runtime/testing";
import { PrometheusMetrics } from "../src/metrics/prometheus.js";
import { toMetric } from "../src/worker/results.js";

type Reported = Partial<MetricReport> & Pick<MetricReport, "kind" | "name">;

/** What a scrape gets of the job's own metrics. */
async function scraped(...reports: readonly Reported[]): Promise<string[]> {
  const live = { inFlightMessages: 0, inFlightBytes: 0, oldestSeconds: 0, ready: true, workers: [] };
  const metrics = new PrometheusMetrics(
    "my-job",
    () => live,
    () => undefined,
  );
  metrics.reported(reports.map((r) => toMetric({ node: "work", tags: {}, value: 1, ...r })));
  const { body } = await metrics.text();
  expect(body).toContain('klio_ready{job="my-job"} 1\n');
  return body.split("\n").filter((line) => line.includes("klio_user"));
}

const good = { kind: "gauge", name: "depth", value: 3 } as const;
const goodLines = [
  "# HELP klio_user_depth Reported by the job's code.",
  "# TYPE klio_user_depth gauge",
  'klio_user_depth{node="work",job="my-job"} 3',
];

describe("a scrape", () => {
  it("gives what user code reported, by kind", async () => {
    const lines = await scraped(
      { kind: "counter", name: "frames", tags: { codec: "opus" } },
      { kind: "counter", name: "frames", tags: { codec: "opus" }, value: 2 },
      { kind: "timer", name: "decode", value: 5e8 },
      good,
    );
    expect(lines.filter((l) => !l.startsWith("#"))).toEqual([
      'klio_user_frames_total{codec="opus",node="work",job="my-job"} 3',
      'klio_user_decode_seconds_sum{node="work",job="my-job"} 0.5',
      'klio_user_decode_seconds_count{node="work",job="my-job"} 1',
      goodLines[2],
    ]);
  });

  it("leaves out a counter that fell below zero, and says so", async () => {
    const lines = await scraped({ kind: "counter", name: "open", value: -1 }, good);
    expect(lines).toEqual([expect.stringMatching(/^# klio_user_open_total is left out: ./), ...goodLines]);
  });

  it("leaves out what would have the name of another, which came first", async () => {
    const timer = { kind: "timer", name: "x", value: 5e8 } as const;
    const gauge = { kind: "gauge", name: "x_seconds_sum" } as const;
    const names = (lines: readonly string[]) => lines.filter((l) => !l.startsWith("#")).map((l) => l.split("{")[0]);
    const timerFirst = await scraped(timer, gauge, good);
    expect(names(timerFirst)).toEqual(["klio_user_x_seconds_sum", "klio_user_x_seconds_count", "klio_user_depth"]);
    expect(timerFirst).toContainEqual('# klio_user_x_seconds_sum is left out: the timer "x" has that name as well');
    expect(names(await scraped(gauge, timer, good))).toEqual(["klio_user_x_seconds_sum", "klio_user_depth"]);
    const both = await scraped({ kind: "counter", name: "y" }, { kind: "gauge", name: "y_total", value: -1 });
    expect(names(both)).toEqual(["klio_user_y_total"]);
  });

  it("stands whatever names user code makes up", async () => {
    const lines = await scraped(
      { kind: "gauge", name: "a\nb {}", tags: { "": "x", "1": 'a"b\nc', job: "j", le: "1" } },
      good,
    );
    expect(lines.slice(-3)).toEqual(goodLines);
    expect(lines.filter((l) => !l.startsWith("#"))).toHaveLength(2);
  });
});

describe("a counter", () => {
  it("refuses to be made less", async () => {
    const job = defineJob({
      build: (input) =>
        input.apply(
          defineTransform("work", {
            process(item, ctx) {
              ctx.metrics.gauge("depth").set(-1);
              ctx.metrics.counter("frames").inc(0);
              ctx.metrics.counter("frames").inc(-1);
              return item.with("done");
            },
          }),
        ),
    });
    const { error, metrics } = await testJob(job).send("x");
    expect(error?.message).toBe('metric "frames": a counter only grows, and -1 is below zero; take a gauge');
    expect(metrics.map((m) => m.value)).toEqual([-1, 0]);
  });
});
