import { createHash, randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { link, mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { InputNotFoundError, PermanentError } from "../api/errors.js";
import type { UploadSource } from "../api/context.js";
import {
  GenerationMismatchError,
  type ObjectPath,
  type ObjectState,
  type ObjectStore,
  uriOf,
  type WriteOptions,
  type Written,
} from "./store.js";

interface Record {
  readonly generation: string;
  readonly by: readonly string[];
}

/**
 * Objects as files in folders. Which requests wrote a file is noted in `.klio` beside it, by the file's inode, time and size:
 * a file that somebody changed by hand belongs to nobody. A new file is put in place whole, and only where there is none;
 * replacing one looks at its generation right before, which two processes can do at the same time.
 */
export class FileStore implements ObjectStore {
  async stat(path: ObjectPath): Promise<ObjectState | undefined> {
    const generation = await generationOf(fileOf(path));
    if (generation === undefined) return undefined;
    const record = (await this.#records(path)).find((r) => r.generation === generation);
    return { generation, by: record?.by ?? [] };
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
    const own = join(path.bucket, ".klio");
    const staged = join(own, `staged.${process.pid}.${randomUUID()}`);
    try {
      await mkdir(own, { recursive: true });
      await mkdir(dirname(target), { recursive: true });
      const source = typeof data === "string" || data instanceof Uint8Array ? [data] : data;
      await pipeline(Readable.from(source), createWriteStream(staged, { flags: "wx" }), { signal });
      const { size } = await stat(staged);
      const generation = (await generationOf(staged)) ?? "";
      // Noted first: were it killed in between, the old file would keep its own entry and nothing else would change.
      await this.#note(path, { generation, by: options.by });
      await this.#place(staged, target, options.ifGenerationMatch, path);
      return { generation, size };
    } catch (error) {
      throw isTooLong(error)
        ? new PermanentError(`the file system has no room for the name ${JSON.stringify(path.name)}`, {
            code: "ILLEGAL_OBJECT_NAME",
          })
        : error;
    } finally {
      await rm(staged, { force: true });
    }
  }

  async #place(staged: string, target: string, expected: string, path: ObjectPath): Promise<void> {
    if (expected !== "0") {
      if ((await generationOf(target)) !== expected) throw new GenerationMismatchError(uriOf(path));
      await rename(staged, target);
      return;
    }
    try {
      await link(staged, target);
    } catch (error) {
      throw (error as NodeJS.ErrnoException).code === "EEXIST" ? new GenerationMismatchError(uriOf(path)) : error;
    }
  }

  async #records(path: ObjectPath): Promise<readonly Record[]> {
    try {
      return JSON.parse(await readFile(recordOf(path), "utf8")) as readonly Record[];
    } catch {
      return [];
    }
  }

  async #note(path: ObjectPath, record: Record): Promise<void> {
    const current = await generationOf(fileOf(path));
    const kept = (await this.#records(path)).filter((r) => r.generation === current);
    const staged = `${recordOf(path)}.${process.pid}.${randomUUID()}`;
    await writeFile(staged, JSON.stringify([record, ...kept]));
    await rename(staged, recordOf(path));
  }
}

function fileOf(path: ObjectPath): string {
  return join(path.bucket, path.name);
}

function recordOf(path: ObjectPath): string {
  const hash = createHash("sha256").update(path.name).digest("hex").slice(0, 32);
  return join(path.bucket, ".klio", `${hash}.json`);
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
