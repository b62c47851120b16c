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
  return { ok: result.exitCode === 0, tail: result.all.trim().split("\n").slice(-6).join("\n") };
}
