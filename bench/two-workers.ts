import { encodeMessage, requestMessage } from "@klio/runtime/message";
import { Child, program } from "./child.js";
import { drain } from "./drain.js";
import { Emulators, subscriptionName } from "./emulators.js";
import { inTurns, median, type Row } from "./measure.js";
import { klioEnv, klioReady, runtimeJob } from "./runtime-job.js";

const rounds = 5;
const warmUp = 10;
const messages = 110;

/** What a second worker adds where messages cost 100 ms of processor time, against what a second bare process adds. */
export async function twoWorkers(root: string): Promise<Row[]> {
  const all = {
    "klio, one worker": () => klio(root, 1),
    "one process": () => bare(1),
    "klio, two workers": () => klio(root, 2),
    "two processes": () => bare(2),
  };
  const results = await inTurns(rounds, all, (rate) => `${rate.toFixed(1)} messages a second`);
  const gain = (two: readonly number[], one: readonly number[]) => two.map((rate, round) => rate / (one[round] ?? NaN));
  const samples = {
    klio: gain(results["klio, two workers"], results["klio, one worker"]),
    peer: gain(results["two processes"], results["one process"]),
    ...results,
  };
  return [
    {
      what: "two workers / two processes, gain over one",
      klio: median(samples.klio),
      peer: median(samples.peer),
      unit: "×",
      reach: "≥ 0.95×",
      samples,
    },
  ];
}

async function klio(root: string, workers: number): Promise<number> {
  const emulators = await Emulators.start();
  try {
    const queue = "burn";
    await emulators.createQueue(queue);
    const data = encodeMessage(requestMessage({ element: "burn" }));
    await emulators.publish(queue, messages, () => data);
    const args = await runtimeJob(root, emulators, { name: "burn", queue, workers: `{count: ${workers}}` });
    const done = ["acknowledge", subscriptionName(queue)] as const;
    const what = { program: { args, env: klioEnv }, ready: klioReady, done, messages, warmUp };
    return (await drain(emulators, what)).rate;
  } finally {
    await emulators.close();
  }
}

async function bare(count: number): Promise<number> {
  const children = Array.from({ length: count }, () => new Child({ args: [program("burn-loop")] }));
  try {
    await Promise.all(children.map((child) => child.printed("ready")));
    const work = messages - warmUp;
    const started = performance.now();
    const done = children.map((child) => child.printed("done"));
    for (const child of children) child.process.stdin?.write(String(work / count));
    await Promise.all(done);
    return work / ((performance.now() - started) / 1_000);
  } finally {
    await Promise.all(children.map((child) => child.end()));
  }
}
