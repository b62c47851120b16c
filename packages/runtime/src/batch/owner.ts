import { readFileSync, renameSync, rmSync } from "node:fs";
import { link, writeFile } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { isAlive, startOf } from "../processes.js";

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
