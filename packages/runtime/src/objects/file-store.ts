import { createHash, randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { link, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { InputNotFoundError, PermanentError } from "../api/errors.js";
import type { UploadSource } from "../api/context.js";
import { syncFolder } from "../durable.js";
import { isAlive } from "../processes.js";
import {
  GenerationMismatchError,
  type ObjectPath,
  type ObjectState,
  type ObjectStore,
  uriOf,
  type WriteOptions,
  type Written,
} from "./store.js";

/**
 * Objects as files in folders. Which requests wrote a file is noted in `.klio` beside it, by the file's inode, time and size:
 * a file that somebody changed by hand belongs to nobody. A new file is put in place whole, and only where there is none;
 * replacing one looks at its generation right before, which two processes can do at the same time.
 */
export class FileStore implements ObjectStore {
  readonly #swept = new Map<string, Promise<void>>();

  async stat(path: ObjectPath): Promise<ObjectState | undefined> {
    const generation = await generationOf(fileOf(path));
    if (generation === undefined) return undefined;
    try {
      const by = JSON.parse(await readFile(recordOf(path, generation), "utf8")) as readonly string[];
      return { generation, by };
    } catch {
      return { generation, by: [] };
    }
  }

  async read(path: ObjectPath, signal: AbortSignal): Promise<Uint8Array> {
    try {
      return await readFile(fileOf(path), { signal });
    } catch (error) {
      throw isMissing(error) ? new InputNotFoundError(uriOf(path)) : error;
    }
  }

  async open(path: ObjectPath, signal: AbortSignal): Promise<Readable> {
    if ((await generationOf(fileOf(path))) === undefined) throw new InputNotFoundError(uriOf(path));
    const stream = createReadStream(fileOf(path), { signal });
    stream.on("error", () => undefined); // whoever reads it is told; nobody reading is no reason to end the worker
    return stream;
  }

  async write(path: ObjectPath, data: UploadSource, options: WriteOptions, signal: AbortSignal): Promise<Written> {
    const target = fileOf(path);
    const staged = join(ownFolder(path), `staged.${host}.${process.pid}.${randomUUID()}`);
    try {
      await mkdir(ownFolder(path), { recursive: true });
      await this.#sweep(ownFolder(path));
      await mkdir(dirname(target), { recursive: true });
      const source = typeof data === "string" || data instanceof Uint8Array ? [data] : data;
      await pipeline(Readable.from(source), createWriteStream(staged, { flags: "wx", flush: true }), { signal });
      const { size } = await stat(staged);
      const generation = (await generationOf(staged)) ?? "";
      // The record goes first: were it killed in between, it would belong to no file.
      await writeFile(recordOf(path, generation), JSON.stringify(options.by));
      await place(staged, path, options.ifGenerationMatch).catch(async (error: unknown) => {
        await rm(recordOf(path, generation), { force: true });
        throw error;
      });
      await syncFolder(dirname(target));
      if (options.ifGenerationMatch !== "0") await rm(recordOf(path, options.ifGenerationMatch), { force: true });
      return { generation, size };
    } catch (error) {
      if (!isTooLong(error)) throw error;
      throw illegal(`the file system has no room for the name ${JSON.stringify(path.name)}`);
    } finally {
      await rm(staged, { force: true });
    }
  }

  /** Removes, once for each folder, what workers that were killed had not put in place. */
  #sweep(folder: string): Promise<void> {
    const swept = this.#swept.get(folder) ?? removeStaged(folder).catch(() => undefined);
    this.#swept.set(folder, swept);
    return swept;
  }
}

const host = createHash("sha256").update(hostname()).digest("hex").slice(0, 12);

async function removeStaged(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const [, of, pid] = /^staged\.(\w+)\.(\d+)\./.exec(name) ?? [];
    // Another machine's, or container's, processes are not ours to tell dead from alive.
    if (of === host && !isAlive(Number(pid))) await rm(join(folder, name), { force: true });
  }
}

async function place(staged: string, path: ObjectPath, expected: string): Promise<void> {
  const target = fileOf(path);
  if (expected !== "0") {
    if ((await generationOf(target)) !== expected) throw new GenerationMismatchError(uriOf(path));
    await rename(staged, target);
    return;
  }
  try {
    await link(staged, target);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") {
      if ((await generationOf(target)) === undefined) throw illegal(`${target} is a folder`);
      throw new GenerationMismatchError(uriOf(path));
    }
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "ENOSYS") throw error;
    // A file system without hard links.
    if ((await generationOf(target)) !== undefined) throw new GenerationMismatchError(uriOf(path));
    await rename(staged, target);
  }
}

function illegal(message: string): PermanentError {
  return new PermanentError(message, { code: "ILLEGAL_OBJECT_NAME" });
}

function fileOf(path: ObjectPath): string {
  return join(path.bucket, path.name);
}

function ownFolder(path: ObjectPath): string {
  return join(path.bucket, ".klio");
}

function recordOf(path: ObjectPath, generation: string): string {
  const hash = createHash("sha256").update(path.name).digest("hex").slice(0, 32);
  return join(ownFolder(path), `${hash}.${generation}.json`);
}

/** What changes whenever the file does; a rename keeps it. Undefined when there is no file. */
async function generationOf(file: string): Promise<string | undefined> {
  try {
    const found = await stat(file, { bigint: true });
    if (!found.isFile()) return undefined;
    // A number, as the service's generations are.
    const hash = createHash("sha256").update(`${found.ino}-${found.mtimeNs}-${found.size}`).digest("hex");
    return BigInt(`0x${hash.slice(0, 15)}`).toString();
  } catch (error) {
    if (isMissing(error) || isTooLong(error)) return undefined;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENOTDIR" || code === "EISDIR";
}

function isTooLong(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENAMETOOLONG";
}
