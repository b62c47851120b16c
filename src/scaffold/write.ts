import { lstat, mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
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
  const found = entries.filter((name) => name !== ".git");
  if (found.length === 0 || force) return;
  const some = found.slice(0, 3).join(", ") + (found.length > 3 ? ", …" : "");
  throw new KlioError("CREATE_NOT_EMPTY", `${target} is not empty (${some})`, {
    hint: "Name an empty or new directory with --output, or see what --force --dry-run would overwrite.",
  });
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
 * replaces is put back if that fails. Parent directories are made.
 */
export async function writeJob({ target, files }: WritePlan): Promise<void> {
  const fresh = (await lstat(target).catch(() => undefined)) === undefined;
  const made = await mkdir(fresh ? dirname(target) : target, { recursive: true });
  const name = `.klio-create-${process.pid}`;
  const staging = join(fresh ? dirname(target) : target, name);
  const undo: (() => Promise<void>)[] = [];
  try {
    for (const { path, data } of files) {
      await mkdir(dirname(join(staging, "new", path)), { recursive: true });
      await writeFile(join(staging, "new", path), data);
    }
    if (fresh) await rename(join(staging, "new"), target);
    else for (const { path } of files) await moveIntoPlace(staging, target, path, undo);
  } catch (error) {
    for (const step of undo.reverse()) await step();
    if (made !== undefined) await rm(made, { recursive: true, force: true });
    throw error;
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function moveIntoPlace(staging: string, target: string, path: string, undo: (() => Promise<void>)[]) {
  const place = join(target, path);
  const folder = await mkdir(dirname(place), { recursive: true });
  if (folder !== undefined) undo.push(() => rm(folder, { recursive: true, force: true }));
  const old = join(staging, "old", path);
  await mkdir(dirname(old), { recursive: true });
  const replaced = await rename(place, old).then(
    () => true,
    () => false,
  );
  undo.push(() => (replaced ? rename(old, place) : rm(place, { force: true })));
  await rename(join(staging, "new", path), place);
}
