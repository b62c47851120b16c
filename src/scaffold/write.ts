import { lstat, mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isAlive } from "@klio/runtime/processes";
import { KlioError } from "../errors.js";
import type { RenderedFile } from "./render.js";

/** What writing a job would do to its directory. */
export interface WritePlan {
  /** The job's directory; absolute. */
  readonly target: string;
  readonly files: readonly RenderedFile[];
  /** Files that are there and would be replaced. */
  readonly overwritten: readonly string[];
}

const stagingName = /^\.klio-create-(\d+)$/;

/**
 * Looks at a job's directory before anything is written. Throws a KlioError when it holds something and `force` is not given,
 * or when what it holds is in the way. A fresh repository (`git init`) counts as empty.
 */
export async function planWrite(target: string, files: readonly RenderedFile[], force: boolean): Promise<WritePlan> {
  await refuseFilled(target, force);
  const overwritten: string[] = [];
  for (const { path } of files) if (await isInTheWay(target, path)) overwritten.push(path);
  return { target, files, overwritten };
}

/** Throws a KlioError when a directory holds something, unless `force` is given. */
export async function refuseFilled(target: string, force: boolean): Promise<void> {
  const entries = await readdir(target).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new KlioError("CREATE_TARGET", `${target} cannot be used: ${String(error)}`, { cause: error });
  });
  for (const name of entries) await refuseUnfinished(target, name);
  const found = entries.filter((name) => name !== ".git" && !isLeftover(name));
  if (found.length === 0 || force) return;
  const some = found.slice(0, 3).join(", ") + (found.length > 3 ? ", …" : "");
  throw new KlioError("CREATE_NOT_EMPTY", `${target} is not empty (${some})`, {
    hint: "Name an empty or new directory with --output, or see what --force --dry-run would overwrite.",
  });
}

/** What a command that was killed while it wrote has left. */
function isLeftover(name: string): boolean {
  const pid = stagingName.exec(name)?.[1];
  return pid !== undefined && !isAlive(Number(pid));
}

/** Files that an interrupted command had moved away to replace them are somebody's only copy. */
async function refuseUnfinished(folder: string, name: string): Promise<void> {
  const old = join(folder, name, "old");
  if (!isLeftover(name) || (await lstat(old).catch(() => undefined)) === undefined) return;
  throw new KlioError(
    "CREATE_TARGET",
    `an interrupted \`klio job create --force\` left files it was replacing in ${old}`,
    {
      hint: `Move back what you want to keep, then: rm -r ${join(folder, name)}`,
    },
  );
}

async function isInTheWay(target: string, path: string): Promise<boolean> {
  const parts = path.split("/");
  for (let i = 1; i <= parts.length; i += 1) {
    const part = join(target, ...parts.slice(0, i));
    const found = await lstat(part).catch(() => undefined);
    if (found === undefined) return false;
    const last = i === parts.length;
    // Through a link it would be written somewhere else.
    if (found.isSymbolicLink() || found.isDirectory() === last) {
      const what = found.isSymbolicLink() ? "a symbolic link" : found.isDirectory() ? "a directory" : "a file";
      throw new KlioError("CREATE_TARGET", `${part} is ${what}, where the job has ${last ? "a file" : "a directory"}`, {
        hint: "Move it away.",
      });
    }
  }
  return true;
}

/**
 * Writes a job, all of it or nothing: it is put together in a folder beside, and moved into its place at the end; what it
 * replaces is put back if that fails. Parent directories are made. A signal takes effect once it is done.
 */
export async function writeJob(plan: WritePlan): Promise<void> {
  let received: NodeJS.Signals | undefined;
  const wait = (signal: NodeJS.Signals) => {
    received = signal;
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, wait);
  try {
    await write(plan);
  } finally {
    for (const signal of signals) process.off(signal, wait);
    if (received !== undefined) process.kill(process.pid, received);
  }
}

async function write({ target, files }: WritePlan): Promise<void> {
  const fresh = (await lstat(target).catch(() => undefined)) === undefined;
  const parent = fresh ? dirname(target) : target;
  const made = await mkdir(parent, { recursive: true });
  for (const name of await readdir(parent)) {
    await refuseUnfinished(parent, name);
    if (isLeftover(name)) await rm(join(parent, name), { recursive: true });
  }
  const staging = join(parent, `.klio-create-${process.pid}`);
  const moves = new Moves(staging, target);
  try {
    for (const { path, data } of files) {
      await mkdir(dirname(join(staging, "new", path)), { recursive: true });
      await writeFile(join(staging, "new", path), data);
    }
    if (fresh) await rename(join(staging, "new"), target);
    else for (const { path } of files) await moves.move(path);
  } catch (error) {
    const undone = await moves.undo();
    if (made !== undefined) await rm(made, { recursive: true, force: true });
    if (undone) await rm(staging, { recursive: true, force: true });
    const why = error instanceof Error ? error.message : String(error);
    const kept = undone ? "Nothing was changed." : `What was there before is in ${join(staging, "old")}.`;
    throw new KlioError("CREATE_TARGET", `the job cannot be written to ${target}: ${why}`, {
      hint: kept,
      cause: error,
    });
  }
  await rm(staging, { recursive: true, force: true });
}

/** Files that were moved into a job, so that they can be moved out again. */
class Moves {
  readonly #steps: (() => Promise<void>)[] = [];

  constructor(
    readonly staging: string,
    readonly target: string,
  ) {}

  async move(path: string): Promise<void> {
    const place = join(this.target, path);
    const folder = await mkdir(dirname(place), { recursive: true });
    if (folder !== undefined) this.#steps.push(() => rm(folder, { recursive: true, force: true }));
    if (await this.#moveAway(path)) {
      const old = join(this.staging, "old", path);
      this.#steps.push(() => rename(old, place));
    }
    await rename(join(this.staging, "new", path), place);
    this.#steps.push(() => rm(place, { force: true }));
  }

  /** Moves what is to be replaced to `old`, if there is anything. */
  async #moveAway(path: string): Promise<boolean> {
    const place = join(this.target, path);
    if ((await lstat(place).catch(() => undefined)) === undefined) return false;
    const old = join(this.staging, "old", path);
    await mkdir(dirname(old), { recursive: true });
    await rename(place, old);
    return true;
  }

  /** Whether everything is as it was. */
  async undo(): Promise<boolean> {
    const results = [];
    for (const step of this.#steps.reverse())
      results.push(
        await step().then(
          () => true,
          () => false,
        ),
      );
    return results.every(Boolean);
  }
}
