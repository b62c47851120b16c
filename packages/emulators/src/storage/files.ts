import type { Dirent } from "node:fs";
import { lstat } from "node:fs/promises";
import { badRequest } from "./errors.js";

/** A file that holds an object. Its key says which record is its own: inode, time and size. */
export interface Found {
  readonly path: string;
  readonly key: string;
  readonly size: number;
  readonly mtimeNs: bigint;
}

/** A folder may go while it is listed. */
export function goneIsEmpty(error: unknown): Dirent[] {
  if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
  throw error;
}

export async function lstatOrNot(path: string) {
  try {
    return await lstat(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    if (code === "ENAMETOOLONG") throw badRequest("The object's name is too long for this disk");
    throw error;
  }
}

export async function fileAt(path: string): Promise<Found | undefined> {
  const found = await lstat(path, { bigint: true }).catch(() => undefined);
  if (found?.isFile() !== true) return undefined;
  return { path, key: keyOf(found), size: Number(found.size), mtimeNs: found.mtimeNs };
}

export function keyOf(file: { readonly ino: bigint; readonly mtimeNs: bigint; readonly size: bigint }): string {
  return `${file.ino}-${file.mtimeNs}-${file.size}`;
}
