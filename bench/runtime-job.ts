import { cpSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import { loadConfig } from "@klio/config";
import { buildJob } from "../src/jobs/index.js";
import { type Emulators, project, subscriptionName, topicName } from "./emulators.js";

export interface BenchJob {
  /** Its folder in `bench/jobs`. */
  readonly name: string;
  /** Its queue: see {@link Emulators.createQueue}. */
  readonly queue: string;
  /** YAML of `workers`, on one line. */
  readonly workers: string;
  /** YAML of `data`, on one line. */
  readonly data?: string;
}

/** The arguments with which Node runs a job of `bench/jobs`, as `klio job run` does. */
export async function runtimeJob(root: string, emulators: Emulators, job: BenchJob): Promise<readonly string[]> {
  const text = `job_name: ${job.name}
pipeline_options: {project: ${project}}
job_config:
  workers: ${job.workers}
  delivery: {dead_letter: none}
  events:
    inputs: [{type: pubsub, topic: ${topicName(`${job.queue}-in`)}, subscription: ${subscriptionName(job.queue)}}]
    outputs: [{type: pubsub, topic: ${topicName(`${job.queue}-out`)}}]
  data: ${job.data ?? "{}"}
`;
  const { config, diagnostics } = loadConfig({ file: "klio-job.yaml", text });
  if (config === undefined) throw new Error(diagnostics.map((d) => d.message).join("; "));
  const directory = mkdtempSync(join(emulators.folder, "job-"));
  cpSync(join(root, "bench/jobs", job.name), directory, { recursive: true });
  const runtime = join(root, "dist/runtime");
  const built = await buildJob({ directory, configFile: "", config, warnings: [] }, runtime);
  return [join(runtime, "bin.js"), "run", built.directory];
}

/** What klio prints when it receives. */
export const klioReady = '"event":"ready"';
/** With it, klio stops when its standard input ends. */
export const klioEnv = { KLIO_LIFELINE: "stdin" };
