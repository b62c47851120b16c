import { execa } from "execa";

export interface InstallResult {
  readonly ok: boolean;
  /** The last lines npm printed, when it failed. */
  readonly tail: string;
}

/** Installs a job's packages as its lockfile says. */
export async function installJob(directory: string, signal: AbortSignal): Promise<InstallResult> {
  const result = await execa("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: directory,
    reject: false,
    all: true,
    stdin: "ignore",
    cancelSignal: signal,
  });
  // Without npm there is no output, only a reason.
  const said = result.all.trim() === "" ? (result.originalMessage ?? "") : result.all.trim();
  return { ok: result.exitCode === 0, tail: said.split("\n").slice(-6).join("\n") };
}
