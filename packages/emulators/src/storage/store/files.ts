import { type BigIntStats, type Dirent, lstatSync, mkdirSync, readdirSync, renameSync, rmdirSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { forbidden } from "../errors.js";
import { besideFolder, nameOf, pathOf, prefixOf, spellings } from "./paths.js";

/** A file that holds an object. */
export interface Found {
  readonly path: string;
  /** Which record is its own: inode, time and size. */
  readonly key: string;
}

export function keyOf(file: { readonly ino: bigint; readonly mtimeNs: bigint; readonly size: bigint }): string {
  return `${file.ino}-${file.mtimeNs}-${file.size}`;
}

/** Undefined when there is nothing. On a local disk this takes microseconds; by Node's thread pool it would take ten times as long. */
export function lstatOrNot(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOTDIR" || code === "ENAMETOOLONG") return undefined; // there cannot be such a file
    throw error;
  }
}

function fileAt(path: string): Found | undefined {
  const found = lstatOrNot(path);
  return found?.isFile() === true ? { path, key: keyOf(found) } : undefined;
}

/** The file of an object below its bucket's folder, through no symbolic link. */
export function findFile(folder: string, name: string): Found | undefined {
  return findBelow(folder, name.split("/"));
}

function findBelow(folder: string, segments: readonly string[]): Found | undefined {
  const [segment = "", ...rest] = segments;
  for (const elements of spellings(segment)) {
    const folders = rest.length === 0 ? elements.slice(0, -1) : elements;
    const below = realFolder(folder, folders);
    if (below === undefined) continue;
    const found = rest.length === 0 ? lastFile(below, elements.at(-1) ?? "") : findBelow(below, rest);
    if (found !== undefined) return found;
  }
  return undefined;
}

function lastFile(folder: string, element: string): Found | undefined {
  return fileAt(join(folder, element)) ?? fileAt(join(folder, element + besideFolder));
}

function realFolder(folder: string, elements: readonly string[]): string | undefined {
  let path = folder;
  for (const element of elements) {
    path = join(path, element);
    if (lstatOrNot(path)?.isDirectory() !== true) return undefined;
  }
  return path;
}

/** The paths of all files below a bucket's folder whose names begin with `prefix`, and those names. In no order. */
export async function* walk(
  bucketFolder: string,
  prefix = "",
  folder: readonly string[] = [],
): AsyncGenerator<{ readonly name: string; readonly path: string }> {
  const entries: Dirent[] = await readdir(join(bucketFolder, ...folder), { withFileTypes: true }).catch(goneIsEmpty);
  for (const entry of entries) {
    const path = [...folder, entry.name];
    if (entry.isDirectory()) {
      const begin = prefixOf(path);
      if (begin.startsWith(prefix) || prefix.startsWith(begin)) yield* walk(bucketFolder, prefix, path);
    } else if (entry.isFile()) {
      const name = nameOf(path);
      if (name.startsWith(prefix)) yield { name, path: join(bucketFolder, ...path) };
    }
  }
}

/** Removes a folder with nothing below it but folders. False when there is something, which stays. */
export function removeEmpty(folder: string): boolean {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    if (entries.some((entry) => !entry.isDirectory())) return false;
    if (!entries.every((entry) => removeEmpty(join(folder, entry.name)))) return false;
    rmdirSync(folder);
    return true;
  } catch {
    return false; // somebody has put something there, or does not let us look
  }
}

/** A folder may go, or become a file, while it is listed; what may not be read holds no objects. */
export function goneIsEmpty(error: unknown): [] {
  if (["ENOENT", "ENOTDIR", "EACCES"].includes((error as NodeJS.ErrnoException).code ?? "")) return [];
  throw error;
}

/**
 * Makes the folders that a new object needs below its bucket's, and returns where its file goes. A file that is where a folder has
 * to be goes beside it. Throws 403 for a symbolic link.
 */
export function place(bucketFolder: string, name: string): string {
  const elements = pathOf(name);
  let folder = bucketFolder;
  for (const element of elements.slice(0, -1)) {
    folder = join(folder, element);
    const found = lstatOrNot(folder);
    if (found?.isDirectory() === true) continue;
    if (found?.isFile() === true) renameSync(folder, folder + besideFolder);
    else if (found !== undefined) throw linked(folder);
    mkdirSync(folder);
  }
  const plain = join(folder, elements.at(-1) ?? "");
  const taken = lstatOrNot(plain);
  if (taken === undefined) return plain;
  if (taken.isDirectory()) return plain + besideFolder;
  throw linked(plain);
}

const linked = (path: string) => forbidden(`${path} is a symbolic link; objects are not written through it`);

/** Removes the folders that the end of a file left empty, but for the bucket's. */
export function pruneFolders(bucketFolder: string, path: string): void {
  for (let folder = dirname(path); folder !== bucketFolder; folder = dirname(folder)) {
    try {
      rmdirSync(folder);
    } catch {
      return; // not empty: others live there
    }
    // An object of the folder's name has its place again.
    if (fileAt(folder + besideFolder) !== undefined) renameSync(folder + besideFolder, folder);
  }
}
