import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SessionOptions } from "./options.js";
import { type SessionKey, stateDirectory } from "./paths.js";

// That a session was started by hand, and how, outlives its process: until it is stopped by hand.

function fileOf(key: SessionKey): string {
  return join(stateDirectory(key), "kept.json");
}

/** How the session was started that is to stay. Undefined when none is. */
export function readKept(key: SessionKey): SessionOptions | undefined {
  try {
    return JSON.parse(readFileSync(fileOf(key), "utf8")) as SessionOptions;
  } catch {
    return undefined;
  }
}

export function writeKept(key: SessionKey, options: SessionOptions): void {
  writeFileSync(fileOf(key), JSON.stringify(options), { mode: 0o600 });
}

export function forgetKept(key: SessionKey): void {
  rmSync(fileOf(key), { force: true });
}
