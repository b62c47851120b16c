import { existsSync } from "node:fs";
import { join } from "node:path";
import { KlioError } from "../errors.js";
import { type JobOptions, loadJob } from "../jobs/index.js";

/** The project of emulators that nobody gave one. */
const anyProject = "klio-local";
const projectId = /^[a-z0-9](?:[a-z0-9:-]|\.(?!\.)){0,98}$/;
const hint = "Name the project: --project PROJECT_ID";

/** In this order: `--project`, the job in this folder, the environment, one that stands for any. Throws a KlioError. */
export function projectFrom(
  flag: string | undefined,
  cwd: string,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  const project = flag ?? jobsProject(cwd) ?? environmentsProject(environment) ?? anyProject;
  if (!projectId.test(project)) {
    throw new KlioError(
      "PROJECT_ID",
      `${JSON.stringify(project)} is no project id: lower-case letters, digits, -, . and :`,
      {
        hint,
      },
    );
  }
  return project;
}

function jobsProject(cwd: string): string | undefined {
  if (!existsSync(join(cwd, "klio-job.yaml"))) return undefined;
  const options: JobOptions = { cwd, jobDir: undefined, configFile: undefined, overrides: [], templates: [] };
  try {
    return loadJob(options).config.pipeline_options.project;
  } catch (error) {
    if (!(error instanceof KlioError)) throw error;
    const message = `the job in this folder does not tell its project: ${error.message}`;
    throw new KlioError("PROJECT_ID", message, { details: error.details, hint, cause: error });
  }
}

function environmentsProject(environment: Readonly<Record<string, string | undefined>>): string | undefined {
  return ["GOOGLE_CLOUD_PROJECT", "PUBSUB_PROJECT_ID"]
    .map((name) => environment[name])
    .find((v) => v !== undefined && v !== "");
}
