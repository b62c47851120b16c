import { createSocket } from "node:dgram";
import { PubSub } from "@google-cloud/pubsub";
import {
  defineJob,
  defineTransform,
  ExecError,
  type Item,
  json,
  merge,
  type MetricReport,
  type MetricsBackend,
  PermanentError,
  skip,
  type StandardSchema,
  tag,
} from "@klio/runtime";

// The examples of docs/guide, checked by the compiler and the linter. test/repo/guide.test.ts compares: what stands there in a
// block of TypeScript stands here or in guide-examples.test.ts, letter by letter.

// ---- what the examples take for granted

interface Spectrum {
  readonly peak: number;
}
interface Model {
  spectrum(bytes: Uint8Array): Spectrum;
  close(): Promise<void>;
}
declare function loadModel(path: string): Promise<Model>;
declare function draw(spectrum: Spectrum, scale: "log" | "lin"): Uint8Array;
declare const settings: StandardSchema<{ readonly model: string; readonly floor: number }>;

// ---- transforms.md

export const measure = (options: { readonly model: string; readonly floor: number }) =>
  defineTransform("measure", {
    setup: () => loadModel(options.model), // once in each worker; ctx.state
    teardown: (model) => model.close(), // when a worker ends in order
    async process(item, ctx) {
      const spectrum = ctx.state.spectrum(await ctx.read(item));
      if (spectrum.peak < options.floor) return skip("silence");
      return spectrum.peak > 0.5 ? tag("loud", spectrum) : tag("quiet", spectrum);
    },
  });

export const plot = (options: { readonly scale: "log" | "lin" }) =>
  defineTransform("plot", {
    async process(item: Item<Spectrum>, ctx) {
      const png = draw(item.payload, options.scale);
      const { uri } = await ctx.upload(item, png, { suffix: ".png", contentType: "image/png" });
      return item.with(uri);
    },
  });

export default defineJob({
  config: settings, // any Standard Schema
  build(input, config) {
    const [loud, quiet] = input.apply(measure(config)).branch("loud", "quiet");
    return merge(loud.apply(plot({ scale: "log" }), "plot-loud"), quiet.apply(plot({ scale: "lin" }), "plot-quiet"));
  },
});

export const lines = defineTransform("lines", {
  async *process(item, ctx) {
    const text = Buffer.from(await ctx.read(item)).toString();
    for (const [number, line] of text.split("\n").entries()) {
      if (line === "") yield skip(`line ${number} is empty`);
      else yield item.with(json({ number, line }));
    }
  },
});

export const decode = defineTransform("decode", {
  async process(item, ctx) {
    const bytes = Buffer.from(await ctx.read(item));
    if (bytes.toString("latin1", 0, 4) !== "RIFF") throw new PermanentError("not a WAV file", { code: "BAD_WAV" });
    return item.with({ sampleRate: bytes.readUInt32LE(24) });
  },
});

// ---- context.md

export const copy = defineTransform("copy", {
  async process(item, ctx) {
    const { write, size } = await ctx.upload(item, await ctx.open(item), { contentType: "audio/wav" });
    ctx.logger.info("copied", { write, size });
    return item.with(undefined);
  },
});

// ---- utilities.md

export const recognise = defineTransform("recognise", {
  retry: { tries: 3, delay: "500ms" },
  timeout: "30s",
  limit: "recogniser",
  async process(item, ctx) {
    const body = Buffer.from(await ctx.read(item));
    const response = await fetch("https://recogniser.example/v1", { method: "POST", body, signal: ctx.signal });
    if (response.status === 422) throw new PermanentError("it cannot be recognised", { code: "UNRECOGNISABLE" });
    if (!response.ok) throw new Error(`the recogniser answered ${response.status}`);
    return item.with(await response.text());
  },
});

export const transcode = defineTransform("transcode", {
  timeout: "10m",
  limit: 2,
  async process(item, ctx) {
    const wav = await ctx.file(item);
    const opus = ctx.execStream("ffmpeg", ["-v", "error", "-i", wav, "-f", "opus", "-"]);
    await ctx.upload(item, opus, { suffix: ".opus", contentType: "audio/ogg" });
    return item.with(undefined);
  },
});

export const duration = defineTransform("duration", {
  async process(item, ctx) {
    const file = await ctx.file(item);
    try {
      const { stdout } = await ctx.exec("ffprobe", [
        ...["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"],
        file,
      ]);
      return item.with(json({ seconds: Number(Buffer.from(stdout).toString()) }));
    } catch (error) {
      // exitCode is undefined when a signal ended it, or when there is no such program.
      if (error instanceof ExecError && error.exitCode === 1) return skip("it is no recording");
      throw error;
    }
  },
});

// ---- metrics.md

export const count = defineTransform("count", {
  async process(item, ctx) {
    const timer = ctx.metrics.timer("parse", { codec: "wav" });
    const bytes = await ctx.read(item);
    timer.stop(); // nanoseconds, reported once
    ctx.metrics.counter("bytes", { codec: "wav" }).inc(bytes.length);
    ctx.metrics.gauge("last-size").set(bytes.length);
    return item.with(undefined);
  },
});

class StatsD implements MetricsBackend {
  readonly #socket = createSocket("udp4");

  constructor(readonly host: string) {}

  report({ kind, name, node, value }: MetricReport): void {
    const text = { counter: `${value}|c`, gauge: `${value}|g`, timer: `${value / 1e6}|ms` }[kind];
    this.#socket.send(`klio.${node}.${name}:${text}`, 8125, this.host);
  }

  close(): void {
    this.#socket.close();
  }
}

export const counting = defineJob({
  metrics: (config) => [new StatsD(String(config.job_config.user["statsd_host"]))], // once in each worker
  build: (input) => input.apply(count),
});

// ---- delivery.md

const pubsub = new PubSub({ projectId: "my-project" });
const input = pubsub.topic("my-job-input", { messageOrdering: true });
pubsub.subscription("my-job-dead-letter").on("message", (message) => {
  const { data, attributes, orderingKey = "" } = message;
  if (attributes["klio-dead-letter-code"] !== "ERROR") return; // left there: its lease goes on until this program ends
  void input.publishMessage({ data, attributes, orderingKey }).then(() => {
    message.ack();
  });
});
