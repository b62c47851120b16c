import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface DirectoryLock {
  readonly release: () => void;
}

/** Thrown when another emulator runs on the directory. */
export class DirectoryInUseError extends Error {
  constructor(
    readonly directory: string,
    readonly pid: number,
  ) {
    super(`${directory} is in use by the emulator with process id ${pid}`);
    this.name = "DirectoryInUseError";
  }
}

const maxTries = 100;
let taken = 0;

/**
 * Takes a directory for this process, by a file that names it. A file whose process is gone counts for nothing, so a killed
 * emulator can be started again at once. Throws DirectoryInUseError.
 */
export function lockDirectory(directory: string): DirectoryLock {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, "owner");
  taken += 1;
  const own = `${process.pid} ${bornAt(process.pid)} ${taken}`;
  // It is put in place whole, by a link, which fails where there is one already.
  const ready = `${path}.${process.pid}.${taken}`;
  writeFileSync(ready, own, { mode: 0o600 });
  try {
    for (let tries = 0; tries < maxTries; tries += 1) {
      if (linked(ready, path)) {
        return {
          release: () => {
            removeIf(path, `${ready}.old`, own);
          },
        };
      }
      const owner = read(path);
      if (owner === undefined) continue; // released meanwhile
      const [pid = "", born = ""] = owner.split(" ");
      if (runs(Number(pid), born)) throw new DirectoryInUseError(directory, Number(pid));
      removeIf(path, `${ready}.old`, owner);
    }
    throw new DirectoryInUseError(directory, 0);
  } finally {
    rmSync(ready, { force: true });
  }
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Removes the file if it still has this content: others may have put theirs in its place. */
function removeIf(path: string, aside: string, content: string): void {
  try {
    renameSync(path, aside);
  } catch {
    return; // somebody else removed it
  }
  if (read(aside) !== content) linked(aside, path);
  rmSync(aside, { force: true });
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function runs(pid: number, born: string): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  return bornAt(pid) === born;
}

/**
 * When a process began, in clock ticks since the machine did; the id of a process that ended may be given again. "" where
 * there is no /proc, "ended" for one that only waits to be reaped. Source: proc_pid_stat(5), fields 3 and 22.
 */
function bornAt(pid: number): string {
  const text = read(`/proc/${pid}/stat`);
  if (text === undefined) return "";
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" ? "ended" : (fields[19] ?? "");
}
