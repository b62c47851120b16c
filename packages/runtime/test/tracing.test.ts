import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, it } from "vitest";
import { defineJob, defineTransform, type Item, type Pipeline, type Inputs } from "@klio/runtime";
import { testJob } from "@klio/runtime/testing";

const exporter = new InMemorySpanExporter();
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));

beforeEach(() => {
  exporter.reset();
});

function spans() {
  const all = exporter.getFinishedSpans();
  return all.map((span) => {
    const parent = all.find((s) => s.spanContext().spanId === span.parentSpanContext?.spanId);
    const [seconds, nanoseconds] = span.duration;
    return { name: span.name, parent: parent?.name, span, ms: seconds * 1e3 + nanoseconds / 1e6 };
  });
}

function spanOf(name: string) {
  const found = spans().filter((s) => s.name === name);
  expect(found).toHaveLength(1);
  return found[0];
}

async function step(name: string): Promise<void> {
  const span = trace.getTracer("user").startSpan(name);
  await sleep(20);
  span.end();
}

const next = defineTransform("next", { process: (item: Item<string>) => item });
const jobOf = (process: (item: Item) => AsyncGenerator<Item<string>, void, undefined>) =>
  defineJob({
    build: (input: Pipeline<Inputs>) => input.apply(defineTransform("several", { process })).apply(next),
  });

describe("the span of a generator", () => {
  it("lasts until its end, and what its code starts lies below it", async () => {
    const tested = testJob(
      jobOf(async function* (item) {
        await step("first");
        yield item.with("1");
        await step("second");
      }),
    );
    expect((await tested.send("x")).outcome).toBe("processed");
    expect(spans().map(({ name, parent }) => [name, parent])).toEqual([
      ["first", "several"],
      ["next", "process test-job"],
      ["second", "several"],
      ["several", "process test-job"],
      ["process test-job", undefined],
    ]);
    expect(spanOf("several")?.ms).toBeGreaterThan(35);
    expect(spanOf("several")?.span.status.code).toBe(0);
  });

  it("tells what it threw after an output, and that of one that failed behind it does not", async () => {
    const broken = testJob(
      jobOf(async function* (item) {
        yield item.with("1");
        await step("second");
        throw new Error("broken");
      }),
    );
    expect((await broken.send("x")).error?.message).toBe("broken");
    const { status, events } = spanOf("several")?.span ?? {};
    expect(status?.code).toBe(2);
    expect(events?.[0]?.attributes?.["exception.message"]).toBe("broken");

    exporter.reset();
    let closed = false;
    const failing = defineTransform("next", {
      process(_item: Item<string>): Item<string> {
        throw new Error("behind it");
      },
    });
    const several = defineTransform("several", {
      async *process(item) {
        try {
          yield await Promise.resolve(item.with("1"));
        } finally {
          await step("closing");
          closed = true;
        }
      },
    });
    const tested = testJob(defineJob({ build: (input) => input.apply(several).apply(failing) }));
    expect((await tested.send("x")).error?.message).toBe("behind it");
    expect(closed).toBe(true);
    expect(spanOf("closing")?.parent).toBe("several");
    expect(spanOf("several")?.span.status.code).toBe(0);
    expect(spanOf("next")?.span.status.code).toBe(2);
  });

  it("is one for each try", async () => {
    let calls = 0;
    const flaky = defineTransform("several", {
      retry: { tries: 2 },
      async *process(item) {
        calls += 1;
        if (calls === 1) throw new Error("not yet");
        yield await Promise.resolve(item.with("1"));
      },
    });
    await testJob(defineJob({ build: (input) => input.apply(flaky) })).send("x");
    expect(spans().map(({ name, span }) => [name, span.status.code])).toEqual([
      ["several", 2],
      ["several", 0],
      ["process test-job", 0],
    ]);
  });
});

describe("the span of a call", () => {
  it("that is given up ends with it, as one that failed", async () => {
    const hanging = defineTransform("hangs", {
      timeout: "10s",
      process: () => new Promise<Item<string>>(() => undefined),
    });
    const tested = testJob(defineJob({ build: (input) => input.apply(hanging) }));
    const result = tested.send("x");
    await tested.clock.advance("10s");
    expect((await result).error?.code).toBe("TIMEOUT");
    expect(spanOf("hangs")?.span.status.code).toBe(2);
  });
});
