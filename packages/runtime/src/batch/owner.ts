import { randomUUID } from "node:crypto";
import { readFileSync, renameSync, rmSync, statSync, utimesSync } from "node:fs";
import { link, mkdir, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { isAlive, startOf } from "../processes.js";

interface Owner {
  readonly host: string;
  readonly pid: number;
  /** When the process was started, by which it is told from a later one with the same id. */
  readonly started: string;
}

/** How often an owner says that it is there, and after what silence one on another machine counts as gone. */
const touchMs = 5_000;
const goneMs = 30_000;

export interface Ownership {
  /** The folder is anybody's again. */
  release(): void;
  /** The folder is no more, and its owner's file with it. */
  forget(): void;
}

/**
 * Makes this process the only one that works in a folder, which is made when it is not there. Returns the ownership,
 * or who has it. An owner that was killed is not in the way.
 */
export async function own(folder: string): Promise<Ownership | string> {
  const file = join(folder, "owner.json");
  const mine = join(folder, `owner.${randomUUID()}`);
  const text = JSON.stringify({ host: hostname(), pid: process.pid, started: startOf(process.pid) } satisfies Owner);
  try {
    for (;;) {
      // Whoever is done with it takes the whole folder away.
      await mkdir(folder, { recursive: true });
      if (await take(mine, file, text)) return hold(file);
      const other = read(file);
      if (other !== undefined && isThere(other.owner, file)) return `${other.owner.pid} on ${other.owner.host}`;
      if (other !== undefined) discard(file, other.text);
    }
  } finally {
    rmSync(mine, { force: true });
  }
}

async function take(mine: string, file: string, text: string): Promise<boolean> {
  try {
    await writeFile(mine, text);
    await link(mine, file);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" || code === "ENOENT") return false;
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "ENOSYS") throw error;
    // A file system without hard links.
    return writeFile(file, text, { flag: "wx" }).then(
      () => true,
      (failure: unknown) => {
        if ((failure as NodeJS.ErrnoException).code === "EEXIST") return false;
        throw failure;
      },
    );
  }
}

function hold(file: string): Ownership {
  const timer = setInterval(() => {
    const now = new Date();
    try {
      utimesSync(file, now, now);
    } catch {
      // on its way out
    }
  }, touchMs);
  timer.unref();
  return {
    release: () => {
      clearInterval(timer);
      rmSync(file, { force: true });
    },
    forget: () => {
      clearInterval(timer);
    },
  };
}

function isThere(owner: Owner, file: string): boolean {
  if (owner.host === hostname()) return startOf(owner.pid) === owner.started && isAlive(owner.pid);
  const touched = statSync(file, { throwIfNoEntry: false })?.mtimeMs;
  return touched !== undefined && Date.now() - touched < goneMs;
}

/** Takes a dead owner's file away; of several who try, one does. */
function discard(file: string, text: string): void {
  const dead = `${file}.${randomUUID()}`;
  try {
    renameSync(file, dead);
  } catch {
    return; // somebody else did
  }
  // Between the look and the move somebody may have become the owner: it goes back.
  if (readText(dead) === text) rmSync(dead, { force: true });
  else renameSync(dead, file);
}

function read(file: string): { owner: Owner; text: string } | undefined {
  const text = readText(file);
  if (text === undefined) return undefined;
  try {
    return { owner: JSON.parse(text) as Owner, text };
  } catch {
    return { owner: { host: hostname(), pid: 0, started: "none" }, text }; // cut short
  }
}

/** Undefined when it is not there any more. */
function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
