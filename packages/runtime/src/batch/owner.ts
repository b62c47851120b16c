import { readFileSync, renameSync, rmSync } from "node:fs";
import { link, writeFile } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { join } from "node:path";

interface Owner {
  readonly pid: number;
  /** When the process was started, by which it is told from a later one with the same id; "" where nobody tells. */
  readonly started: string;
}

/**
 * Makes this process the only one that works in a folder. Returns what gives it up again, or the id of the process that has
 * it. An owner that was killed is not in the way.
 */
export async function own(folder: string): Promise<(() => void) | number> {
  const file = join(folder, "owner.json");
  const mine = join(folder, `owner.${randomUUID()}`);
  await writeFile(mine, JSON.stringify({ pid: process.pid, started: startOf(process.pid) }));
  try {
    for (;;) {
      try {
        await link(mine, file);
        return () => {
          rmSync(file, { force: true });
        };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
      const other = readOwner(file);
      if (other !== undefined && startOf(other.pid) === other.started && isAlive(other.pid)) return other.pid;
      discard(file);
    }
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Takes a dead owner's file away; of several who try, one does. */
function discard(file: string): void {
  const dead = `${file}.${randomUUID()}`;
  try {
    renameSync(file, dead);
  } catch {
    return; // somebody else did
  }
  rmSync(dead, { force: true });
}

function readOwner(file: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Owner;
  } catch {
    return undefined;
  }
}

/** https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html, field 22. */
function startOf(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
