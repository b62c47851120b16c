import { execFileSync } from "node:child_process";
import { createHash, randomFillSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { encodeMessage, requestMessage } from "@klio/runtime/message";
import { python } from "../test/support/tools.js";
import { type ChildOptions, program } from "./child.js";
import { drain, type Drained } from "./drain.js";
import { Emulators, project, topicName } from "./emulators.js";
import { inTurns, median, progress, type Row } from "./measure.js";
import { klioEnv, klioReady, runtimeJob } from "./runtime-job.js";

const rounds = 5;
const messages = 2_000;
const warmUp = 200;
const objectBytes = 2 ** 20;

/**
 * How long Cloud Storage holds every answer back: not at all, and as if it were behind a network. `atOnce` messages are in hand of
 * klio's two workers together, and of the loop, more where they wait longer; DirectRunner has no setting for it.
 */
const distances = [
  { delayMs: 0, atOnce: 16 },
  { delayMs: 20, atOnce: 32 },
] as const;

/** Download 1 MiB, hash, upload the hash, publish: klio with two workers, a loop by hand, and Beam's DirectRunner, in turns. */
export async function pipeline(root: string): Promise<Row[]> {
  const beam = python("beam");
  if (beam.path === undefined) throw new Error(beam.missing);
  const versions = versionsOf(beam.path);
  console.log(versions);
  const emulators = await Emulators.start();
  try {
    const outputs = emulators.bucket("outputs");
    const lastHash = await fill(emulators);
    let { delayMs, atOnce }: { delayMs: number; atOnce: number } = distances[0];
    const run =
      (who: string, ready: string, data: (element: string) => Buffer, make: (queue: string) => Promise<ChildOptions>) =>
      async (round: number) => {
        const queue = `${who}-${delayMs}-${round}`;
        await emulators.createQueue(queue);
        await emulators.publish(queue, messages, (i) => data(elementOf(i)));
        const what = await make(queue);
        const done = ["publish", topicName(`${queue}-out`)] as const;
        const result = await drain(emulators, { program: what, ready, done, messages, warmUp });
        const written = readFileSync(join(outputs, queue, elementOf(messages - 1)), "utf8");
        if (written !== lastHash) throw new Error(`${queue}: an output is ${written}, not ${lastHash}`);
        return result;
      };
    const all = {
      klio: run("klio", klioReady, klioData, async (queue) => {
        const workers = `{count: 2, concurrency: ${atOnce / 2}}`;
        const data = `{inputs: [{type: gcs, location: "gs://inputs"}], outputs: [{type: gcs, location: "gs://outputs/${queue}"}]}`;
        return { args: await runtimeJob(root, emulators, { name: "pipeline", queue, workers, data }), env: klioEnv };
      }),
      loop: run("loop", "ready", rawData, (queue) => {
        const args = [program("pipeline-loop"), project, queue, "inputs", "outputs", String(atOnce)];
        return Promise.resolve({ args });
      }),
      beam: run("beam", "ready", rawData, (queue) => {
        const flags = Object.entries({ project, queue, inputs: "inputs", outputs: "outputs" });
        const args = [
          "-B",
          join(root, "bench/beam/pipeline.py"),
          ...flags.map(([name, value]) => `--${name}=${value}`),
        ];
        return Promise.resolve({ command: beam.path ?? "", args });
      }),
    };
    const measured: Row[] = [];
    for ({ delayMs, atOnce } of distances) {
      await emulators.delayStorage(delayMs);
      const name = delayMs === 0 ? "1 MiB pipeline" : `1 MiB pipeline, ${delayMs} ms from Cloud Storage`;
      measured.push(...rows(name, await inTurns(rounds, all, say), versions.split(",")[0] ?? versions));
    }
    return measured;
  } finally {
    await emulators.close();
  }
}

/** E.g. `Beam 2.77.0, Python 3.11.7`. */
function versionsOf(python: string): string {
  const program = `import importlib.metadata as m, platform
print("Beam", m.version("apache-beam") + ", google-cloud-storage", m.version("google-cloud-storage") + ", Python", platform.python_version())`;
  return execFileSync(python, ["-B", "-c", program], { encoding: "utf8" }).trim();
}

const say = ({ cpu, rate }: Drained) => `${(cpu / 1_000).toFixed(2)} ms of CPU a message, ${rate.toFixed(1)}/s`;
const elementOf = (i: number) => `object-${i}`;
const rawData = (element: string) => Buffer.from(element);
const klioData = (element: string) => encodeMessage(requestMessage({ element }));

/** Uploads the inputs, of which no two are equal. Resolves to the hash of the last. */
async function fill(emulators: Emulators): Promise<string> {
  emulators.bucket("inputs");
  progress(`uploading ${messages} objects of 1 MiB`);
  const bytes = Buffer.alloc(objectBytes);
  randomFillSync(bytes);
  for (let i = 0; i < messages; i += 1) {
    bytes.writeUInt32LE(i);
    await emulators.upload("inputs", elementOf(i), bytes);
  }
  return createHash("sha256").update(bytes).digest("hex");
}

function rows(
  of: string,
  results: Readonly<Record<"klio" | "loop" | "beam", readonly Drained[]>>,
  beam: string,
): Row[] {
  const row = (peer: "loop" | "beam", what: "cpu" | "rate", reach: string): Row => {
    const scale = what === "cpu" ? 1e-3 : 1;
    const values = (name: keyof typeof results) => results[name].map((r) => r[what] * scale);
    const samples = { klio: values("klio"), peer: values(peer) };
    const against = peer === "beam" ? beam : "loop";
    const name = `${of} / ${against}, ${what === "cpu" ? "CPU a message" : "messages a second"}`;
    const unit = what === "cpu" ? "ms" : "/s";
    return { what: name, klio: median(samples.klio), peer: median(samples.peer), unit, reach, samples };
  };
  return [
    row("beam", "cpu", "≤ 0.2×"),
    row("beam", "rate", "≥ 5×"),
    row("loop", "cpu", "≤ 1.11×"),
    row("loop", "rate", "≥ 0.9×"),
  ];
}
