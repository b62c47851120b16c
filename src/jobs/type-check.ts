import { existsSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";

/** The type errors of a job, as its own compiler tells them: `src/run.ts:3:5: error TS2322: …`. None before it is installed. */
export async function typeErrors(directory: string, signal: AbortSignal): Promise<string[]> {
  const compiler = join(directory, "node_modules", "typescript", "bin", "tsc");
  if (!existsSync(compiler) || !existsSync(join(directory, "tsconfig.json"))) return [];
  const { stdout } = await execa(process.execPath, [compiler, "--noEmit", "--pretty", "false"], {
    cwd: directory,
    reject: false,
    cancelSignal: signal,
    forceKillAfterDelay: 500,
    stdin: "ignore",
  });
  return stdout
    .split("\n")
    .filter((line) => line.includes("error TS"))
    .map((line) => line.replace(/^(.+?)\((\d+),(\d+)\): /, "$1:$2:$3: "));
}
