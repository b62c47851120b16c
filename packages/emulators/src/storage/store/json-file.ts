import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Undefined when there is none; a torn one cannot be, `writeJson` puts them in place whole. */
export async function readJson<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as T;
  } catch (error) {
    const absent = (error as NodeJS.ErrnoException).code === "ENOENT" || error instanceof SyntaxError;
    if (absent) return undefined;
    throw error;
  }
}

/** Writes a file so that it appears whole or not at all, by way of the staging folder. */
export async function writeJson(staging: string, path: string, value: unknown): Promise<void> {
  const staged = join(staging, randomUUID());
  await writeFile(staged, JSON.stringify(value));
  try {
    await rename(staged, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    await mkdir(dirname(path), { recursive: true });
    await rename(staged, path);
  }
}
