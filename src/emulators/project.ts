import { existsSync } from "node:fs";
import { join } from "node:path";
import { type JobOptions, loadJob } from "../jobs/index.js";

/** The project of emulators that nobody gave one. */
const anyProject = "klio-local";

/** In this order: `--project`, the job in this folder, the environment, one that stands for any. */
export function projectFrom(
  flag: string | undefined,
  cwd: string,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  if (flag !== undefined) return flag;
  if (existsSync(join(cwd, "klio-job.yaml"))) {
    const options: JobOptions = { cwd, jobDir: undefined, configFile: undefined, overrides: [], templates: [] };
    return loadJob(options).config.pipeline_options.project;
  }
  for (const name of ["GOOGLE_CLOUD_PROJECT", "PUBSUB_PROJECT_ID"]) {
    const value = environment[name];
    if (value !== undefined && value !== "") return value;
  }
  return anyProject;
}
