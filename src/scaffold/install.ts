import { existsSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";

export interface InstallResult {
  readonly ok: boolean;
  /** The command, and the first lines it printed when it failed. */
  readonly tail: string;
}

/** Installs a job's packages as its lockfile says. */
export async function installJob(directory: string, signal: AbortSignal): Promise<InstallResult> {
  if (!existsSync(join(directory, "package.json"))) return { ok: true, tail: "" };
  const command = existsSync(join(directory, "package-lock.json")) ? "ci" : "install";
  const result = await execa("npm", [command, "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: directory,
    reject: false,
    all: true,
    stdin: "ignore",
    cancelSignal: signal,
  });
  // Without npm there is no output, only a reason.
  const said = result.all.trim() === "" ? (result.originalMessage ?? "") : result.all.trim();
  // npm says why at the beginning, and where its log is at the end.
  return { ok: result.exitCode === 0, tail: `npm ${command}\n${said.split("\n").slice(0, 6).join("\n")}` };
}
