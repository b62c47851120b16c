import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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

/**
 * Takes a directory for this process, by a file that names it. A file whose process is gone counts for nothing, so a killed
 * emulator can be started again at once. Throws DirectoryInUseError.
 */
export function lockDirectory(directory: string): DirectoryLock {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, "owner");
  const own = `${process.pid} ${bornAt(process.pid)}`;
  for (let tries = 0; tries < 3; tries += 1) {
    try {
      writeFileSync(path, own, { flag: "wx", mode: 0o600 });
      return {
        release() {
          rmSync(path, { force: true });
        },
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      const [pid, born] = readOwner(path);
      if (runs(pid, born)) throw new DirectoryInUseError(directory, pid);
      rmSync(path, { force: true });
    }
  }
  throw new DirectoryInUseError(directory, 0);
}

function readOwner(path: string): [number, string] {
  try {
    const [pid, born = ""] = readFileSync(path, "utf8").split(" ");
    return [Number(pid), born];
  } catch {
    return [0, ""]; // released meanwhile
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
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? "ended" : (fields[19] ?? "");
  } catch {
    return "";
  }
}
