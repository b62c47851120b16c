import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname, join, sep } from "node:path";

const maxCached = 10_000;

/**
 * JSON files that nobody else writes. Each appears whole or not at all, by way of the staging folder; those used last are held
 * in memory. They are small, and local: read at once they take microseconds, by way of Node's thread pool ten times as long.
 */
export class JsonFiles {
  readonly #cache = new Map<string, unknown>();

  constructor(readonly staging: string) {}

  /** Undefined when there is none. */
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the caller knows what it wrote
  read<T>(path: string): T | undefined {
    const cached = this.#cache.get(path);
    if (cached !== undefined) {
      this.#remember(path, cached);
      return cached as T;
    }
    try {
      const value = JSON.parse(readFileSync(path, "utf8")) as T;
      this.#remember(path, value);
      return value;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT" || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  /** Writes one that counts for nothing before something else happens: it need not appear whole. */
  add(path: string, value: unknown): void {
    const text = JSON.stringify(value);
    inFolder(path, () => {
      writeFileSync(path, text);
    });
    this.#remember(path, value);
  }

  write(path: string, value: unknown): void {
    const staged = join(this.staging, randomUUID());
    writeFileSync(staged, JSON.stringify(value));
    inFolder(path, () => {
      renameSync(staged, path);
    });
    this.#remember(path, value);
  }

  remove(path: string): void {
    this.#cache.delete(path);
    unlinkIfThere(path);
  }

  /** Forgets what is held in memory of files below a folder that were removed otherwise. */
  forget(folder: string): void {
    for (const path of this.#cache.keys()) if (path.startsWith(folder + sep)) this.#cache.delete(path);
  }

  #remember(path: string, value: unknown): void {
    this.#cache.delete(path);
    this.#cache.set(path, value);
    const oldest = this.#cache.keys().next();
    if (this.#cache.size > maxCached && oldest.done !== true) this.#cache.delete(oldest.value);
  }
}

/** Makes the folder of a path when that was missing. */
function inFolder(path: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    mkdirSync(dirname(path), { recursive: true });
    work();
  }
}

export function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
