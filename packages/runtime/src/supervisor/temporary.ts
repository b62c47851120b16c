import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAlive } from "../processes.js";

const prefix = "klio-run-";

/** Makes a folder for the temporary files of this run, and removes those that killed runs left behind. */
export function makeTemporaryRoot(): string {
  for (const name of readdirSync(tmpdir())) {
    const pid = Number(new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1]);
    // In a container every run is process 1; this one has no folder yet.
    if (pid === process.pid || (pid > 0 && !isAlive(pid))) removeQuietly(join(tmpdir(), name));
  }
  return mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`));
}

/** What cannot be removed (it is another user's, say) is left to whoever can. */
export function removeQuietly(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true });
  } catch {
    return;
  }
}
