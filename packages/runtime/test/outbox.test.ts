import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import type { Metric, WorkerFrame } from "../gen/worker_pb.js";
import type { MetricReport } from "../src/api/metrics.js";
import { supervisorFrames, workerFrames } from "../src/protocol/codec.js";
import { FrameChannel, sharedFrameBytes } from "../src/protocol/frames.js";
import { Outbox } from "../src/worker/outbox.js";

/** What a supervisor reads of what a worker says in one turn of the event loop. */
async function heard(say: (outbox: Outbox) => void): Promise<WorkerFrame["frame"][]> {
  const wire = new PassThrough({ highWaterMark: 1 << 30 });
  const outbox = new Outbox(new FrameChannel(workerFrames, wire, supervisorFrames, new PassThrough()));
  const frames: WorkerFrame["frame"][] = [];
  say(outbox);
  await new Promise((resolve) => setImmediate(resolve));
  wire.end();
  await new Promise<void>((resolve) => {
    new FrameChannel(supervisorFrames, new PassThrough(), workerFrames, wire).receive(
      ({ frame }) => frames.push(frame),
      () => {
        resolve();
      },
    );
  });
  return frames;
}

function metricsOf(frames: readonly WorkerFrame["frame"][]): Metric[][] {
  return frames.flatMap((frame) => (frame.case === "metrics" ? [frame.value.metrics] : []));
}

const counted = (name: string, tags: MetricReport["tags"] = {}): MetricReport => {
  return { kind: "counter", name, node: "work", tags, value: 1 };
};

describe("metrics of one turn of the event loop", () => {
  it("travel together, and in as many frames as they need", async () => {
    const few = await heard((outbox) => {
      for (const name of ["a", "b", "c"]) outbox.sinkOf(7n).metric(counted(name));
    });
    expect(metricsOf(few).map((m) => m.map(({ name }) => name))).toEqual([["a", "b", "c"]]);

    const tags = { t: "x".repeat(64 * 1024) };
    const many = metricsOf(
      await heard((outbox) => {
        for (let i = 0; i < 1_100; i += 1) outbox.sinkOf(7n).metric(counted(`m${i}`, tags)); // 69 MiB
      }),
    );
    expect(many.flat().map((m) => m.name)).toEqual(Array.from({ length: 1_100 }, (_, i) => `m${i}`));
    expect(Math.max(...many.map((m) => m.length))).toBeLessThanOrEqual(sharedFrameBytes / (64 * 1024));
  });

  it("leave out what no frame holds, which is logged", async () => {
    const frames = await heard((outbox) => {
      const sink = outbox.sinkOf(7n);
      sink.metric(counted("huge", { t: "é".repeat(40_000_000) }));
      sink.metric(counted("small"));
    });
    expect(metricsOf(frames).map((m) => m.map(({ name }) => name))).toEqual([["small"]]);
    const logs = frames.flatMap((frame) => (frame.case === "log" ? [frame.value] : []));
    const message = "a metric is left out: its name and tags are longer than a worker may send";
    expect(logs).toMatchObject([{ id: 7n, severity: "WARNING", node: "work", message }]);
  });
});

describe("where a message is", () => {
  it("is told of the node it is in last, although the one before was left in the same turn", async () => {
    const frames = await heard((outbox) => {
      outbox.enter(7n, "before", 0);
      outbox.enter(7n, "limited", 1_000);
    });
    const entered = frames.flatMap(({ case: kind, value }) =>
      kind === "enter" ? [[value.node, value.timeoutMs]] : [],
    );
    expect(entered).toEqual([["limited", 1_000]]);
  });
});
