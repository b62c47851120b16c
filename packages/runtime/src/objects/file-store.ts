import { createHash, randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { type FileHandle, link, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { InputNotFoundError, PermanentError } from "../api/errors.js";
import type { UploadSource } from "../api/context.js";
import { syncFolder } from "../durable.js";
import { isAlive } from "../processes.js";
import { streamOf } from "./chunk-stream.js";
import { tooLarge } from "./too-large.js";
import { chunksOf } from "./source.js";
import {
  GenerationMismatchError,
  type ObjectPath,
  type ObjectState,
  type ObjectStore,
  type ReadOptions,
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

  async stat(path: ObjectPath, signal: AbortSignal): Promise<ObjectState | undefined> {
    signal.throwIfAborted();
    const found = await identify(fileOf(path));
    if (found === undefined) return undefined;
    try {
      const by = JSON.parse(await readFile(recordOf(path, found.generation), "utf8")) as readonly string[];
      return { ...found, by };
    } catch {
      return { ...found, by: [] };
    }
  }

  async read(path: ObjectPath, signal: AbortSignal, options: ReadOptions = {}): Promise<Uint8Array> {
    const file = await openFile(path, signal);
    try {
      const { size } = await file.stat();
      if (size > largestRead) throw tooLarge(uriOf(path), size);
      const data = await file.readFile({ signal });
      options.arrived?.(data.length);
      return data;
    } finally {
      await file.close();
    }
  }

  async open(path: ObjectPath, signal: AbortSignal, options: ReadOptions = {}): Promise<Readable> {
    const file = await openFile(path, signal);
    const chunks = async function* () {
      for (;;) {
        const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(chunkBytes));
        if (bytesRead === 0) return;
        options.arrived?.(bytesRead);
        yield buffer.subarray(0, bytesRead);
      }
    };
    return streamOf({ chunks, close: () => file.close() }, signal);
  }

  async download(path: ObjectPath, file: string, signal: AbortSignal, options: ReadOptions = {}): Promise<void> {
    await pipeline(await this.open(path, signal, options), createWriteStream(file, { flags: "wx" }), { signal });
  }

  async write(path: ObjectPath, data: UploadSource, options: WriteOptions, signal: AbortSignal): Promise<Written> {
    const target = fileOf(path);
    const staged = join(ownFolder(path), `staged.${host}.${process.pid}.${randomUUID()}`);
    try {
      await mkdir(ownFolder(path), { recursive: true });
      await this.#sweep(ownFolder(path));
      await mkdir(dirname(target), { recursive: true });
      await fill(staged, chunksOf(data, signal));
      const { generation, size } = (await identify(staged)) ?? { generation: "", size: 0 };
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

/** Node reads no more at once: https://nodejs.org/docs/latest-v20.x/api/errors.html#err_fs_file_too_large */
const largestRead = 2 ** 31 - 1;
const chunkBytes = 256 * 1024;

const host = createHash("sha256").update(hostname()).digest("hex").slice(0, 12);

async function removeStaged(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const [, of, pid] = /^staged\.(\w+)\.(\d+)\./.exec(name) ?? [];
    // Another machine's, or container's, processes are not ours to tell dead from alive.
    if (of === host && !isAlive(Number(pid))) await rm(join(folder, name), { force: true });
  }
}

/** The file is there before the first chunk: a stream that opens it by itself may do so when it has been given up and removed. */
async function fill(staged: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await open(staged, "wx");
  try {
    await pipeline(chunks, file.createWriteStream({ flush: true }));
  } finally {
    await file.close();
  }
}

async function place(staged: string, path: ObjectPath, expected: string): Promise<void> {
  const target = fileOf(path);
  if (expected !== "0") {
    if ((await identify(target))?.generation !== expected) throw new GenerationMismatchError(uriOf(path));
    await rename(staged, target);
    return;
  }
  try {
    await link(staged, target);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") {
      if ((await identify(target)) === undefined) throw illegal(`${target} is a folder`);
      throw new GenerationMismatchError(uriOf(path));
    }
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "ENOSYS") throw error;
    // A file system without hard links.
    if ((await identify(target)) !== undefined) throw new GenerationMismatchError(uriOf(path));
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

/** A generation, which changes whenever the file does; a rename keeps it. Undefined when there is no file. */
async function identify(file: string): Promise<{ readonly generation: string; readonly size: number } | undefined> {
  try {
    const found = await stat(file, { bigint: true });
    if (!found.isFile()) return undefined;
    // A number, as the service's generations are.
    const hash = createHash("sha256").update(`${found.ino}-${found.mtimeNs}-${found.size}`).digest("hex");
    return { generation: BigInt(`0x${hash.slice(0, 15)}`).toString(), size: Number(found.size) };
  } catch (error) {
    if (isMissing(error) || isTooLong(error)) return undefined;
    throw error;
  }
}

/** Throws InputNotFoundError when there is no such file. */
async function openFile(path: ObjectPath, signal: AbortSignal): Promise<FileHandle> {
  signal.throwIfAborted();
  try {
    const file = await open(fileOf(path));
    if ((await file.stat()).isFile()) return file;
    await file.close();
  } catch (error) {
    if (!isMissing(error) && !isTooLong(error)) throw error;
  }
  throw new InputNotFoundError(uriOf(path));
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENOTDIR" || code === "EISDIR";
}

function isTooLong(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENAMETOOLONG";
}
