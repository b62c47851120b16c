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
const reach = { process: "≤ 1.25×", inline: "≤ 1.10×" } as const;

/** The no-op job, in a worker process and inline, against loops written by hand: 1 KiB messages that wait already, in turns. */
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
    loop: peer("noop-loop"),
    inline: klio("inline"),
    workers: peer("noop-workers"),
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

type Results = Readonly<Record<"process" | "loop" | "inline" | "workers", readonly Drained[]>>;

function rows(results: Results): Row[] {
  const row = (own: "process" | "inline", peer: "loop" | "workers", key: "cpu" | "rate"): Row => {
    const samples = { klio: results[own].map((r) => r[key]), peer: results[peer].map((r) => r[key]) };
    const job = own === "inline" ? "no-op job inline" : "no-op job";
    const against = peer === "loop" ? "loop" : "loop with worker";
    const [measure, unit] = key === "cpu" ? ["CPU a message", "µs"] : ["messages a second", "/s"];
    return {
      what: `${job} / ${against}, ${measure}`,
      klio: median(samples.klio),
      peer: median(samples.peer),
      unit,
      reach: key === "cpu" ? reach[own] : "–",
      samples,
    };
  };
  return [
    row("process", "loop", "cpu"),
    row("process", "workers", "cpu"),
    row("inline", "loop", "cpu"),
    row("process", "loop", "rate"),
    row("process", "workers", "rate"),
    row("inline", "loop", "rate"),
  ];
}
