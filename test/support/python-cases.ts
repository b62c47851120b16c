import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "vitest";

/** What a case in Python came to: a line of JSON of its suite's output. */
export interface PythonResult {
  readonly case?: string;
  readonly passed: boolean;
  readonly error?: string;
  readonly where?: readonly string[];
}

/** The names of the cases in a folder's sources. */
export function pythonCases(folder: string): string[] {
  const sources = readdirSync(folder).filter((f) => f.endsWith(".py"));
  return sources.flatMap((f) =>
    [...readFileSync(join(folder, f), "utf8").matchAll(/^@case\("([^"]+)"\)/gm)].map((m) => m[1] ?? ""),
  );
}

/** Runs cases of a suite against the emulator that the environment names. */
export async function runPython(
  python: string,
  folder: string,
  wanted: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<PythonResult[]> {
  const { stdout } = await promisify(execFile)(python, ["-B", folder, ...wanted], {
    env: { ...process.env, ...environment, PYTHONUNBUFFERED: "1" },
    timeout: 240_000,
  });
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as PythonResult);
}

/** What differs must go on to differ: a case that passes would claim a difference that is none. */
export function expectOutcome(results: readonly PythonResult[], id: string, differs: boolean): void {
  const result = results.find((r) => r.case === id);
  expect(result, "the case ran").toBeDefined();
  if (!differs) expect(`${result?.error ?? ""} ${result?.where?.join(" ") ?? ""}`.trim()).toBe("");
  expect(result?.passed).toBe(!differs);
}
