import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type EffectiveConfig, effectiveFile } from "@klio/config/effective";
import { messageOf } from "../error-message.js";
import type { Job } from "../api/define-job.js";
import { isJob, JobError } from "../engine/graph.js";

/** Where a built job has its entry. */
export const entryFile = "src/run.js";

/** Reads the effective configuration of a built job. Throws {@link JobError}. */
export async function readEffective(jobDir: string): Promise<EffectiveConfig> {
  const path = join(jobDir, effectiveFile);
  try {
    return JSON.parse(await readFile(path, "utf8")) as EffectiveConfig;
  } catch (error) {
    const message = `${path} cannot be read: ${messageOf(error)}`;
    throw new JobError("JOB_CONFIG", `${message}\nBuild the job first: klio job build`, { cause: error });
  }
}

/** Imports a built job's entry. Throws {@link JobError}, with the user's error as its cause. */
export async function loadJob(jobDir: string): Promise<Job> {
  const path = join(jobDir, entryFile);
  if (!existsSync(path))
    throw new JobError("JOB_MODULE", `the job has no ${entryFile}; build it first: klio job build`);
  let module: { default?: unknown };
  try {
    // A variable keeps the bundler from resolving it.
    const url = pathToFileURL(path).href;
    module = (await import(url)) as { default?: unknown };
  } catch (error) {
    const message = messageOf(error);
    throw new JobError("JOB_MODULE", `the job's code does not load: ${message}`, { cause: error });
  }
  if (isJob(module.default)) return module.default;
  throw new JobError("JOB_MODULE", "src/run.ts has no default export made by defineJob");
}
