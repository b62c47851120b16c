import { memoryOf } from "../test/support/memory.js";
import { drain } from "./drain.js";
import { Emulators, subscriptionName } from "./emulators.js";
import { inTurns, median, progress, type Row } from "./measure.js";
import { noopMessage, noopWorkers } from "./noop-job.js";
import { klioEnv, klioReady, runtimeJob } from "./runtime-job.js";

/** A round takes minutes. */
const rounds = 3;
const messages = 1_000_000;
const warmUp = 10_000;
/** The supervisor's memory is read when so many are done. */
const marks = [100_000, 500_000, messages];
const mebi = 2 ** 20;

interface Round {
  readonly rate: number;
  /** MiB at each mark. */
  readonly memory: readonly number[];
  readonly peak: number;
}

/** A million messages behind: the supervisor's memory while the no-op job takes them. */
export async function backlog(root: string): Promise<Row[]> {
  const say = ({ rate, memory, peak }: Round) =>
    `${rate.toFixed(0)}/s, ${memory.map((m) => m.toFixed(0)).join(", ")} MiB, peak ${peak.toFixed(0)} MiB`;
  const { klio } = await inTurns(rounds, { klio: () => consume(root) }, say);
  const row = (what: string, of: (round: Round) => number, unit: string, reach: string): Row => {
    const samples = klio.map(of);
    return {
      what: `a million behind: ${what}`,
      klio: median(samples),
      peer: undefined,
      unit,
      reach,
      samples: { klio: samples },
    };
  };
  return [
    ...marks.map((mark, i) => row(`memory after ${mark / 1_000}k`, (r) => r.memory[i] ?? NaN, "MiB", "flat")),
    row("peak memory", (r) => r.peak, "MiB", "flat"),
    row("messages a second", (r) => r.rate, "/s", "–"),
  ];
}

async function consume(root: string): Promise<Round> {
  const emulators = await Emulators.start({ onDisk: true });
  try {
    const queue = "backlog";
    await emulators.createQueue(queue);
    progress(`publishing ${messages} messages`);
    const data = noopMessage();
    await emulators.publish(queue, messages, () => data);
    const args = await runtimeJob(root, emulators, { name: "noop", queue, workers: noopWorkers.process.yaml });
    const memory: number[] = [];
    let peak = 0;
    const { rate } = await drain(emulators, {
      program: { args, env: klioEnv },
      ready: klioReady,
      done: ["acknowledge", subscriptionName(queue)],
      messages,
      warmUp,
      watch: (pid, done) => {
        if (done < (marks[memory.length] ?? Infinity)) return;
        const { now, peak: most } = memoryOf(pid);
        memory.push(now / mebi);
        peak = most / mebi;
      },
    });
    return { rate, memory, peak };
  } finally {
    await emulators.close();
  }
}
