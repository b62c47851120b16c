import { rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { encodeMessage, requestMessage } from "@klio/runtime/message";
import { memoryOf } from "../test/support/memory.js";
import { Child } from "./child.js";
import { Emulators, topicName } from "./emulators.js";
import { inTurns, median, progress, type Row, treeOf } from "./measure.js";
import { klioEnv, klioReady, runtimeJob } from "./runtime-job.js";

/** A round takes minutes. */
const rounds = 3;
const objectBytes = 10 * 2 ** 30;
const mebi = 2 ** 20;

/** Memory in bytes over that of the idle job, and seconds. */
interface Round {
  readonly worker: number;
  readonly tree: number;
  readonly idle: number;
  readonly seconds: number;
}

/** An object of 10 GiB streamed through a transform: opened, every byte changed, uploaded. */
export async function large(root: string): Promise<Row[]> {
  const emulators = await Emulators.start();
  try {
    const [inputs, outputs] = [emulators.bucket("inputs"), emulators.bucket("outputs")];
    progress(`uploading an object of ${objectBytes / mebi} MiB to ${inputs}`);
    await emulators.upload("inputs", "large", parts());
    const turn = async (round: number) => {
      const result = await stream(root, emulators, round);
      const { size } = statSync(join(outputs, `${round}/large`));
      if (size !== objectBytes) throw new Error(`the output has ${size} bytes`);
      rmSync(join(outputs, `${round}/large`));
      return result;
    };
    const say = ({ worker, tree, seconds }: Round) =>
      `${mib(worker)} over idle, all processes ${mib(tree)}, ${seconds.toFixed(1)} s`;
    const { klio } = await inTurns(rounds, { klio: turn }, say);
    return rows(klio);
  } finally {
    await emulators.close();
  }
}

const mib = (bytes: number) => `${(bytes / mebi).toFixed(1)} MiB`;

async function* parts(): AsyncGenerator<Uint8Array> {
  const chunk = Buffer.alloc(mebi, "klio");
  for (let sent = 0; sent < objectBytes; sent += chunk.length) yield await Promise.resolve(chunk);
}

async function stream(root: string, emulators: Emulators, round: number): Promise<Round> {
  const queue = `large-${round}`;
  await emulators.createQueue(queue);
  const data = `{inputs: [{type: gcs, location: "gs://inputs"}], outputs: [{type: gcs, location: "gs://outputs/${round}"}]}`;
  const args = await runtimeJob(root, emulators, { name: "large", queue, workers: "{count: 1}", data });
  const child = new Child({ args, env: { ...emulators.env, ...klioEnv } });
  try {
    await child.printed(klioReady);
    const [, worker = 0] = treeOf(child.pid);
    const idle = new Map(treeOf(child.pid).map((pid) => [pid, memoryOf(pid).now]));
    const started = performance.now();
    await emulators.publish(queue, 1, () => encodeMessage(requestMessage({ element: "large" })));
    await emulators.until("publish", topicName(`${queue}-out`), 1, child);
    const seconds = (performance.now() - started) / 1_000;
    const over = (pid: number) => memoryOf(pid).peak - (idle.get(pid) ?? 0);
    const tree = treeOf(child.pid).reduce((sum, pid) => sum + over(pid), 0);
    return { worker: over(worker), tree, idle: idle.get(worker) ?? 0, seconds };
  } finally {
    await child.end();
  }
}

function rows(rounds: readonly Round[]): Row[] {
  const row = (
    what: string,
    samples: readonly number[],
    pick: (all: readonly number[]) => number,
    unit: string,
  ): Row => ({
    what: `10 GiB object: ${what}`,
    klio: pick(samples),
    peer: undefined,
    unit,
    reach: what.includes("over idle") ? "≤ 64 MiB" : "–",
    samples: { klio: samples },
  });
  const most = (all: readonly number[]) => Math.max(...all);
  return [
    row(
      "worker's peak over idle",
      rounds.map((r) => r.worker / mebi),
      most,
      "MiB",
    ),
    row(
      "all processes' peak over idle",
      rounds.map((r) => r.tree / mebi),
      most,
      "MiB",
    ),
    row(
      "worker when idle",
      rounds.map((r) => r.idle / mebi),
      median,
      "MiB",
    ),
    row(
      "seconds",
      rounds.map((r) => r.seconds),
      median,
      "s",
    ),
  ];
}
