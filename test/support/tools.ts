import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { root } from "./rig.js";

/** A tool that a suite needs and that npm does not bring. */
export interface Tool {
  /** Undefined when it is not there. */
  readonly path: string | undefined;
  /** What to do about it. */
  readonly missing: string;
}

/** Python with the packages of test/conformance/pubsub/python/requirements.txt. */
export function python(): Tool {
  const path = process.env["KLIO_TEST_PYTHON"] ?? join(root, "node_modules/.cache/klio/python/bin/python");
  return {
    path: existsSync(path) ? path : undefined,
    missing: "Python with Google's client is missing: node scripts/test-tools.mjs",
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

/** In CI a missing tool fails the suite; elsewhere its cases are skipped, and seen to be. */
export function skips(tool: Tool): boolean {
  if (tool.path === undefined && process.env["CI"] === "true") throw new Error(tool.missing);
  return tool.path === undefined;
}
