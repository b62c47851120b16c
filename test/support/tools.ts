import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { root } from "./rig.js";

/** A tool that a suite needs and that npm does not bring. */
export interface Tool {
  /** Undefined when it is not there. */
  readonly path: string | undefined;
  /** What to do about it. */
  readonly missing: string;
}

/** Python with Google's clients, or with Apache Beam: as scripts/test-tools.mjs installs them. */
export function python(environment: "clients" | "beam" = "clients"): Tool {
  const path = join(root, `node_modules/.cache/klio/python-${environment}/bin/python`);
  return {
    path: existsSync(path) ? path : undefined,
    missing: `Python's environment ${environment} is missing: node scripts/test-tools.mjs`,
  };
}

export function go(): Tool {
  const missing = "Go is missing: https://go.dev/doc/install";
  try {
    execFileSync("go", ["version"], { stdio: "ignore" });
    return { path: "go", missing };
  } catch {
    return { path: undefined, missing };
  }
}

/** Jest, as scripts/test-tools.mjs installs it. */
export function jest(): Tool {
  const path = join(root, "node_modules/.cache/klio/jest/node_modules/jest/bin/jest.js");
  return { path: existsSync(path) ? path : undefined, missing: "jest is missing: node scripts/test-tools.mjs" };
}

/** The Cloud SDK's command. */
export function gcloud(): Tool {
  const missing = "gcloud is missing: https://cloud.google.com/sdk/docs/install";
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const path = folders.map((folder) => join(folder, "gcloud")).find((file) => existsSync(file));
  return { path, missing };
}

/** The same of servers to compare with. A hook is too late for that: of a suite whose cases are all skipped none runs. */
export function expectAllInCi(targets: readonly { readonly missing: string | undefined }[]): void {
  const missing = targets.find((target) => target.missing !== undefined)?.missing;
  if (missing !== undefined && process.env["CI"] === "true") throw new Error(missing);
}

/** In CI a missing tool fails the suite; elsewhere its cases are skipped, and seen to be. */
export function skips(tool: Tool): boolean {
  if (tool.path === undefined && process.env["CI"] === "true") throw new Error(tool.missing);
  return tool.path === undefined;
}
