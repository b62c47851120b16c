import { cp, symlink } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { type EffectiveConfig, loadConfig } from "@klio/config";
import { buildJob } from "../../src/jobs/index.js";
import type { BeginEntry } from "./ledger/entry.js";

export const project = "fault-project";
const name = (kind: "topics" | "subscriptions", id: string) => `projects/${project}/${kind}/${id}`;

export interface RigJobOptions {
  /** A job directory: its `src` is compiled. */
  readonly job: string;
  /** YAML of `delivery`, `workers` and the job's own keys, each line indented by two. */
  readonly jobConfig?: string;
  readonly inputSuffix?: string;
  readonly outputSuffix?: string;
  readonly checkInput?: boolean;
  /** Folder of the bundled runtime. */
  readonly runtime: string;
  /** Whose `node_modules` the job sees. */
  readonly root: string;
}

/** Compiles a job below `folder`, with the topics, subscription and buckets of the rig. */
export async function buildRigJob(folder: string, options: RigJobOptions) {
  const config = configOf(options);
  const directory = join(folder, "job");
  await cp(join(options.job, "src"), join(directory, "src"), { recursive: true });
  await symlink(join(options.root, "node_modules"), join(directory, "node_modules"));
  const job = { directory, configFile: join(directory, "klio-job.yaml"), config, warnings: [] };
  return { directory: (await buildJob(job, options.runtime)).directory, begin: beginOf(config) };
}

function configOf(options: RigJobOptions): EffectiveConfig {
  const text = `job_name: fault-job
pipeline_options:
  project: ${project}
job_config:
${options.jobConfig ?? "  delivery: {attempts: 3, retry_delay: 50ms, ack_deadline: 10s, dead_letter: DEAD}"}
  events:
    inputs: [{type: pubsub, topic: ${name("topics", "fault-in")}, subscription: ${name("subscriptions", "fault-in-job")}}]
    outputs: [{type: pubsub, topic: ${name("topics", "fault-out")}}]
  data:
    inputs: [{type: gcs, location: gs://fault-in/job, file_suffix: "${options.inputSuffix ?? ""}", skip_klio_existence_check: ${!(options.checkInput ?? false)}}]
    outputs: [{type: gcs, location: gs://fault-out/job, file_suffix: "${options.outputSuffix ?? ""}"}]
`.replace("DEAD", name("topics", "fault-dead"));
  const { config, diagnostics } = loadConfig({ file: "klio-job.yaml", text });
  if (config === undefined) throw new Error(JSON.stringify(diagnostics));
  return config;
}

/** Worker processes when the configuration does not say: as the runtime has it. */
const mostDefaultWorkers = 8;

function beginOf({ job_name, job_config: { delivery, workers } }: EffectiveConfig): BeginEntry {
  const { max_outstanding_messages: messages, max_outstanding_bytes: bytes } = delivery;
  const count = workers.count === 0 ? Math.min(availableParallelism(), mostDefaultWorkers) : workers.count;
  return {
    source: "begin",
    job: job_name,
    subscription: "fault-in-job",
    outputTopic: "fault-out",
    deadLetterTopic: "fault-dead",
    outputBucket: "fault-out",
    attempts: delivery.attempts,
    gracePeriodMs: delivery.grace_period_ms,
    // Where it is left to the runtime, as many as all workers have in hand at once wait besides.
    bound: { messages: messages > 0 ? messages : 2 * count * workers.concurrency, bytes },
  };
}
