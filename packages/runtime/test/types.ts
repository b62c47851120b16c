import {
  defineJob,
  defineTransform,
  ExecError,
  type Item,
  json,
  merge,
  type MetricsBackend,
  skip,
  tag,
} from "@klio/runtime";
import { testJob, type TestResult } from "@klio/runtime/testing";

// Checked by the compiler alone (npm run check): what is wrong here must be an error, what is right must not.

interface Spectrum {
  readonly peak: number;
}

const analyse = defineTransform("analyse", {
  setup: () => ({ fft: (bytes: Uint8Array): Spectrum => ({ peak: bytes.length }) }),
  async process(item, ctx) {
    const s = ctx.state.fft(await ctx.read(item));
    if (s.peak < 1) return skip("silence");
    return s.peak > 5 ? tag("loud", s) : tag("quiet", s);
  },
});
const plot = defineTransform("plot", { process: (item: Item<Spectrum>) => item.with(`${item.payload.peak}`) });
const several = defineTransform("several", {
  async *process(item) {
    yield item.with("one");
    yield await Promise.resolve(item.with("two"));
  },
});
const spectrumOut = defineTransform("spectrum", {
  process: (item) => item.with<Spectrum>({ peak: item.payload.length }),
});

export const right = defineJob({
  build(input) {
    const [loud, quiet] = input.apply(analyse).branch("loud", "quiet");
    return merge(loud.apply(plot, "plot-loud"), quiet.apply(plot, "plot-quiet"));
  },
});
export const generator = defineJob({ build: (input) => input.apply(several) });
export const declared = defineJob({
  build: (input) => input.apply(defineTransform("json", { process: (item) => item.with(json({ a: [1, "b", null] })) })),
});
declare const maybe: { readonly a?: number } | undefined;
export const absentWithin = json({ a: maybe?.a, b: null });
// @ts-expect-error -- JSON has no undefined
export const absent = json(undefined);
// @ts-expect-error -- nor where it may be
export const perhapsAbsent = json(maybe);
export const present = maybe === undefined ? undefined : json(maybe);
// @ts-expect-error -- nor functions
export const callable = json(() => 1);
// @ts-expect-error -- nor symbols
export const symbol = json(Symbol("s"));
export const nothing = defineJob({
  build: (input) => input.apply(defineTransform("none", { process: (item) => item.with(undefined) })),
});

export const wrongTag = defineJob({
  build(input) {
    // @ts-expect-error -- there is no tag "laud"
    const [laud] = input.apply(analyse).branch("laud");
    // @ts-expect-error -- and so no pipeline of it
    return laud.apply(plot);
  },
});
// @ts-expect-error -- plot takes a Spectrum, the input is bytes
export const wrongPayload = defineJob({ build: (input) => input.apply(plot) });
// @ts-expect-error -- a Spectrum cannot leave the job
export const cannotLeave = defineJob({ build: (input) => input.apply(spectrumOut) });
export const forgotten = defineTransform("forgotten", {
  // @ts-expect-error -- the return is missing
  process(item) {
    item.with("x");
  },
});
export const emptyBuild = defineJob({
  // @ts-expect-error -- build returns nothing
  build(input) {
    input.apply(several);
  },
});
// @ts-expect-error -- a function is no JSON
export const noJson = json({ f: () => 1 });
// @ts-expect-error -- analyse has no untagged output
export const untagged = defineJob({ build: (input) => input.apply(analyse).apply(plot) });

const used = (..._values: unknown[]) => undefined;

// ---- time limits, limits, tries

export const limited = defineTransform("limited", {
  timeout: "2m",
  limit: "gpu",
  retry: { tries: 3, delay: "1.5s" },
  process: (item) => item.with("done"),
});
export const inNumbers = defineTransform("in-numbers", {
  timeout: 120_000,
  limit: 4,
  retry: { tries: 2, delay: 0 },
  process: (item) => item.with("done"),
});
const passing = { process: (item: Item) => item };
// @ts-expect-error -- a duration is 2m, not 2 minutes
export const wrongTimeout = defineTransform("wrong", { ...passing, timeout: "2 minutes" });
// @ts-expect-error -- there are no days
export const wrongUnit = defineTransform("wrong", { ...passing, retry: { tries: 2, delay: "1d" } });
// @ts-expect-error -- a number stands before the unit
export const wrongNumber = defineTransform("wrong", { ...passing, timeout: "soon" });
// @ts-expect-error -- how often must be said
export const noTries = defineTransform("wrong", { ...passing, retry: { delay: "1s" } });
// @ts-expect-error -- a limit is a number or a name
export const wrongLimit = defineTransform("wrong", { ...passing, limit: true });
export const stateOfTeardown = defineTransform("teardown", {
  setup: () => Promise.resolve({ close: () => undefined }),
  teardown: (state) => {
    state.close();
  },
  process: (item, ctx) => {
    ctx.state.close();
    return item;
  },
});
export const wrongTeardown = defineTransform("teardown", {
  setup: () => ({ close: () => undefined }),
  teardown: (state) => {
    // @ts-expect-error -- the state has no such method
    const shut: { shut: unknown } = state;
    used(shut);
  },
  process: (item) => item,
});

// ---- programs

export const programs = defineTransform("programs", {
  async process(item, ctx) {
    const { stdout, stderr } = await ctx.exec("ffprobe", ["-i", await ctx.file(item)], {
      maxBytes: 1_000,
      env: { A: "b" },
    });
    const [bytes, text]: readonly [Uint8Array, string] = [stdout, stderr];
    await ctx.upload(item, ctx.execStream("ffmpeg", ["-"], { input: await ctx.open(item) }));
    // @ts-expect-error -- arguments are a list
    await ctx.exec("ffprobe", "-i");
    // @ts-expect-error -- a stream has no bound
    ctx.execStream("ffmpeg", [], { maxBytes: 1 });
    // @ts-expect-error -- variables are text
    await ctx.exec("ffprobe", [], { env: { A: 1 } });
    return item.with(bytes.length > 0 ? text : "");
  },
});
export function exitCodeOf(error: unknown): number | undefined {
  // @ts-expect-error -- it is undefined when a signal ended the program
  const sure: number = error instanceof ExecError ? error.exitCode : 0;
  return sure;
}

// ---- metrics

export const measured = defineTransform("measured", {
  process(item, ctx) {
    ctx.metrics.counter("frames").inc();
    ctx.metrics.counter("frames", { codec: "opus" }).inc(2);
    ctx.metrics.gauge("depth").set(0.5);
    const nanoseconds: number = ctx.metrics.timer("decode").stop();
    // @ts-expect-error -- tags are text
    ctx.metrics.counter("frames", { channels: 2 });
    // @ts-expect-error -- a gauge is set
    const increased: { inc: unknown } = ctx.metrics.gauge("depth");
    used(increased);
    // @ts-expect-error -- it has run since timer(…)
    const started: { start: unknown } = ctx.metrics.timer("decode");
    used(started);
    return item.with(`${nanoseconds}`);
  },
});
const backend: MetricsBackend = {
  report: ({ kind, name, node, tags, value }) => {
    const text: string = `${kind} ${name} ${node} ${tags["codec"] ?? ""}`;
    used(text, value);
  },
  close: () => Promise.resolve(),
};
export const withBackend = defineJob({ metrics: () => [backend], build: (input) => input.apply(measured) });
// @ts-expect-error -- each worker makes its own
export const sharedBackend = defineJob({ metrics: [backend], build: (input) => input.apply(measured) });
// @ts-expect-error -- it must take reports
export const deafBackend: MetricsBackend = { close: () => undefined };

// ---- testing

export async function tested(): Promise<void> {
  const job = testJob(right, {
    objects: { "a.wav": "text", "b.wav": new Uint8Array() },
    attempts: 3,
    retryDelay: "1s",
    timeout: 500,
    limits: { gpu: 1 },
    parents: ["parent"],
  });
  const result: TestResult = await job.send({ element: "a", force: true, klioId: "x", orderingKey: "k" });
  const raw = await job.send({ data: Buffer.from("x"), attributes: { a: "b" } });
  const outcome:
    | "processed"
    | "passed-through"
    | "skipped"
    | "not-for-this-job"
    | "duplicate"
    | "sent-upstream"
    | "dead-letter"
    | "given-back" = raw.outcome;
  // @ts-expect-error -- what failed for good is a dead letter
  if (outcome === "failed") return;
  // @ts-expect-error -- there is none when it did not fail
  used(result.deadLetter.attributes);
  // @ts-expect-error -- nor an error
  used(result.error.code);
  const facts: readonly [number, number, boolean] = [result.attempts, result.charged, result.acknowledged];
  const write: "uploaded" | "adopted" | "kept" | undefined = result.objects[0]?.write;
  const bytes: Uint8Array | undefined = job.output("a.png");
  used(facts, write, bytes, job.clock.now(), job.status().ready);
  await job.clock.advance("30s");
  // @ts-expect-error -- minutes are m
  await job.clock.advance("30min");
  // @ts-expect-error -- a message names an element
  await job.send({ force: true });
  // @ts-expect-error -- there is no such option
  testJob(right, { retries: 3 });
  await job.stop();
}
