import { encodeMessage, requestMessage } from "@klio/runtime/message";
import { program } from "./child.js";
import { type Drain, drain, type Drained } from "./drain.js";
import { Emulators, project, subscriptionName } from "./emulators.js";
import { inTurns, median, type Row } from "./measure.js";
import { klioEnv, klioReady, runtimeJob } from "./runtime-job.js";

const rounds = 5;
const warmUp = 10_000;
const messages = 50_000;

/** A KlioMessage of 1 KiB. */
export function noopMessage(): Buffer {
  const message = requestMessage({ element: "x".repeat(16) });
  if (message.data === undefined) throw new Error("a request has data");
  message.data.payload = Buffer.alloc(1_024 - encodeMessage(message).length - 4, "p");
  const data = encodeMessage(message);
  if (data.length !== 1_024) throw new Error(`the message has ${data.length} bytes`);
  return data;
}

/** `job_config.workers` of each way to run the job, and the processes that it makes. */
export const noopWorkers = {
  process: { yaml: "{count: 1, concurrency: 1000}", processes: 2 },
  inline: { yaml: "{mode: inline, concurrency: 1000}", processes: 1 },
} as const;

const queue = "noop";
/**
 * The no-op job, in a worker process and inline, against loops written by hand that do the same (envelope, metrics, and a worker
 * process where klio has one) and against one that does nothing of it: 1 KiB messages that wait already, in turns.
 */
export async function noopJob(root: string): Promise<Row[]> {
  const klio = (mode: keyof typeof noopWorkers) => async () => {
    const { yaml, processes } = noopWorkers[mode];
    const result = await turn(async (emulators) => {
      const args = await runtimeJob(root, emulators, { name: "noop", queue, workers: yaml });
      return { program: { args, env: klioEnv }, ready: klioReady };
    });
    if (result.processes !== processes) throw new Error(`${mode}: ${result.processes} processes, not ${processes}`);
    return result;
  };
  const peer = (name: string) => () =>
    turn(() => Promise.resolve({ program: { args: [program(name), project, queue] }, ready: "ready" }));
  const all = {
    process: klio("process"),
    workers: peer("noop-workers"),
    inline: klio("inline"),
    envelope: peer("noop-envelope"),
    loop: peer("noop-loop"),
  };
  const say = ({ cpu, rate }: Drained) => `${cpu.toFixed(1)} µs of CPU a message, ${rate.toFixed(0)}/s`;
  return rows(await inTurns(rounds, all, say));
}

/** One contestant's turn, on emulators of its own. */
async function turn(make: (emulators: Emulators) => Promise<Pick<Drain, "program" | "ready">>): Promise<Drained> {
  const emulators = await Emulators.start();
  try {
    await emulators.createQueue(queue);
    const data = noopMessage();
    await emulators.publish(queue, messages, () => data);
    const done = ["acknowledge", subscriptionName(queue)] as const;
    return await drain(emulators, { ...(await make(emulators)), done, messages, warmUp });
  } finally {
    await emulators.close();
  }
}

type Results = Readonly<Record<"process" | "workers" | "inline" | "envelope" | "loop", readonly Drained[]>>;

const names = {
  process: "no-op job",
  inline: "no-op job inline",
  workers: "loop with envelope, metrics and worker",
  envelope: "loop with envelope and metrics",
  loop: "bare loop",
} as const;

function rows(results: Results): Row[] {
  const row = (own: "process" | "inline", peer: "workers" | "envelope" | "loop", key: "cpu" | "rate", reach = "–") => {
    const samples = { klio: results[own].map((r) => r[key]), peer: results[peer].map((r) => r[key]) };
    const [measure, unit] = key === "cpu" ? ["CPU a message", "µs"] : ["messages a second", "/s"];
    const what = `${names[own]} / ${names[peer]}, ${measure}`;
    return { what, klio: median(samples.klio), peer: median(samples.peer), unit, reach, samples };
  };
  return [
    row("process", "workers", "cpu", "≤ 1.25×"),
    row("inline", "envelope", "cpu", "≤ 1.10×"),
    row("process", "loop", "cpu"),
    row("inline", "loop", "cpu"),
    row("process", "workers", "rate"),
    row("inline", "envelope", "rate"),
  ];
}
