import { cpSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { loadConfig } from "@klio/config";
import { buildJob } from "../../src/jobs/index.js";
import { root } from "./rig.js";

/** Builds a job of test/fixtures/jobs with a configuration (YAML) into a folder. Returns the built job's directory. */
export async function buildFixture(name: string, folder: string, text: string): Promise<string> {
  const { config, diagnostics } = loadConfig({ file: "klio-job.yaml", text });
  if (config === undefined) throw new Error(JSON.stringify(diagnostics));
  const directory = join(folder, name);
  cpSync(join(root, "test/fixtures/jobs", name, "src"), join(directory, "src"), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
  const job = { directory, configFile: join(directory, "klio-job.yaml"), config, warnings: [] };
  return (await buildJob(job, join(root, "dist/runtime"))).directory;
}
