import { randomUUID } from "node:crypto";
import { constants, createReadStream, createWriteStream, type Dirent } from "node:fs";
import { type FileHandle, mkdir, open, readdir, realpath, rename, rm, rmdir, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { Checksums } from "./checksums.js";
import { conflict, forbidden, notFound } from "./errors.js";
import { fileAt, type Found, goneIsEmpty, keyOf, lstatOrNot } from "./files.js";
import {
  besideFolder,
  checkBucketName,
  checkObjectName,
  fromSegments,
  hiddenFolder,
  isBucketName,
  isFileName,
  toSegments,
} from "./names.js";
import { checkPreconditions, type Preconditions } from "./preconditions.js";
import { RecordFiles } from "./record-files.js";
import { type ObjectRecord, type ObjectSettings, patchSettings } from "./record.js";
import type { StorageEvent } from "./observe.js";

/** Bytes on disk that are not yet an object. */
export interface Staged {
  readonly path: string;
  readonly size: number;
  readonly md5Hash: string;
  readonly crc32c: string;
}

export interface OpenObject {
  readonly record: ObjectRecord;
  readonly file: FileHandle;
}

/**
 * Buckets and objects as plain files: `<root>/<bucket>/<object>`, with a record of each object below `<root>/.klio`.
 *
 * A record belongs to a file by inode, time and size. It is written before the file is renamed into place, so the rename is
 * the one moment at which bytes and record change together; a file changed by hand no longer matches and gets a new record.
 */
export class FileStore {
  readonly #hidden: string;
  readonly #records: RecordFiles;
  readonly #turns = new Map<string, Promise<unknown>>();
  #lastGeneration = 0n;

  private constructor(
    readonly root: string,
    readonly observe: (event: StorageEvent) => void,
  ) {
    this.#hidden = join(root, hiddenFolder);
    this.#records = new RecordFiles(join(this.#hidden, "records"), () => this.stagingPath());
  }

  /** Opens a store, making its folder and sweeping what a killed process left unfinished. */
  static async open(root: string, observe: (event: StorageEvent) => void = () => undefined): Promise<FileStore> {
    await mkdir(root, { recursive: true });
    const store = new FileStore(await realpath(root), observe);
    await rm(join(store.#hidden, "staging"), { recursive: true, force: true });
    await mkdir(join(store.#hidden, "staging"), { recursive: true });
    await store.#sweepRecords();
    return store;
  }

  // ---- buckets

  async createBucket(name: string): Promise<void> {
    checkBucketName(name);
    await mkdir(join(this.root, name)).catch((error: unknown) => {
      throw (error as NodeJS.ErrnoException).code === "EEXIST"
        ? conflict("Your previous request to create the named bucket succeeded and you already own it.")
        : error;
    });
  }

  async buckets(): Promise<string[]> {
    const entries = await readdir(this.root, { withFileTypes: true });
    return entries
      .filter((e) => e.isDirectory() && isBucketName(e.name))
      .map((e) => e.name)
      .sort();
  }

  /** When the bucket was made. Throws 404. */
  async bucketCreated(name: string): Promise<Date> {
    // Only what is a bucket's name: "..", "." and klio's own folder are not.
    const found = isBucketName(name) ? await lstatOrNot(join(this.root, name)) : undefined;
    if (found?.isDirectory() !== true) throw notFound("The specified bucket does not exist.");
    return found.birthtime;
  }

  async deleteBucket(name: string): Promise<void> {
    await this.bucketCreated(name);
    await this.#inTurn(name, async () => {
      for await (const _ of this.#walk(name, [])) throw conflict("The bucket you tried to delete is not empty.");
      await rm(join(this.root, name), { recursive: true });
      await this.#records.forgetBucket(name);
    });
  }

  // ---- objects

  /** The object's record, or undefined when there is none. Throws 404 when the bucket does not exist. */
  async get(bucket: string, name: string): Promise<ObjectRecord | undefined> {
    const opened = await this.open(bucket, name);
    await opened?.file.close();
    return opened?.record;
  }

  /**
   * The object's bytes and the record that belongs to them, however it is replaced meanwhile. The caller closes the file.
   * Undefined when there is none. Throws 404 when the bucket does not exist.
   */
  async open(bucket: string, name: string): Promise<OpenObject | undefined> {
    await this.bucketCreated(bucket);
    for (;;) {
      const found = await this.#find(bucket, name);
      if (found === undefined) return undefined;
      const file = await open(found.path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(() => undefined);
      if (file === undefined) continue; // replaced or removed since
      const key = keyOf(await file.stat({ bigint: true }));
      const record = await this.#records.read(bucket, key);
      if (record?.name === name) return { record, file };
      // A file without a record of its own was put there by hand, unless it was replaced since it was opened.
      if ((await this.#find(bucket, name))?.key === key)
        return { record: await this.#adopt(bucket, name, found), file };
      await file.close();
    }
  }

  /** Names and records in the order of the names' UTF-8 bytes. */
  async list(bucket: string, prefix: string): Promise<ObjectRecord[]> {
    await this.bucketCreated(bucket);
    const records: ObjectRecord[] = [];
    for await (const { name, found } of this.#walk(bucket, [])) {
      if (!name.startsWith(prefix)) continue;
      records.push(await this.#recordOf(bucket, name, found));
    }
    return records.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  }

  /** Copies a stream into the staging area, measuring it. The file is removed if the stream breaks. */
  async stage(source: AsyncIterable<Uint8Array>): Promise<Staged> {
    const path = this.stagingPath();
    const checksums = new Checksums();
    try {
      await pipeline(
        source,
        async function* (chunks: AsyncIterable<Uint8Array>) {
          for await (const chunk of chunks) {
            checksums.update(chunk);
            yield chunk;
          }
        },
        createWriteStream(path),
      );
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
    return { path, size: checksums.size, ...checksums.digest() };
  }

  stagingPath(): string {
    return join(this.#hidden, "staging", randomUUID());
  }

  /** Turns staged bytes into the object, whole and at once, if the preconditions hold. The staged file is gone afterwards. */
  async commit(
    bucket: string,
    name: string,
    staged: Staged,
    settings: ObjectSettings,
    conditions: Preconditions,
  ): Promise<ObjectRecord> {
    try {
      checkObjectName(name);
      return await this.#inTurn(bucket, async () => {
        checkPreconditions(conditions, await this.get(bucket, name));
        const old = await this.#find(bucket, name);
        const now = new Date();
        const { size, md5Hash, crc32c } = staged;
        const stamp = { timeCreated: now.toISOString(), updated: now.toISOString() };
        const record = {
          bucket,
          name,
          generation: this.#nextGeneration(),
          metageneration: "1",
          size,
          md5Hash,
          crc32c,
          ...stamp,
          settings,
        };
        const target = await this.#place(bucket, name);
        await this.#records.write(bucket, keyOf(await stat(staged.path, { bigint: true })), record);
        await rename(staged.path, target);
        this.observe({ kind: "commit", bucket, name, generation: record.generation });
        if (old !== undefined) await this.#records.forget(bucket, old.key);
        return record;
      });
    } finally {
      await rm(staged.path, { force: true });
    }
  }

  async patch(
    bucket: string,
    name: string,
    change: Readonly<Record<string, unknown>>,
    conditions: Preconditions,
  ): Promise<ObjectRecord> {
    return this.#inTurn(bucket, async () => {
      const current = await this.get(bucket, name);
      if (current === undefined) throw notFound(`No such object: ${bucket}/${name}`);
      checkPreconditions(conditions, current);
      const found = await this.#find(bucket, name);
      const record: ObjectRecord = {
        ...current,
        metageneration: (BigInt(current.metageneration) + 1n).toString(),
        updated: new Date().toISOString(),
        settings: patchSettings(current.settings, change),
      };
      if (found !== undefined) await this.#records.write(bucket, found.key, record);
      return record;
    });
  }

  async delete(bucket: string, name: string, conditions: Preconditions, generation: string | null): Promise<void> {
    await this.#inTurn(bucket, async () => {
      const current = await this.get(bucket, name);
      if (current === undefined || (generation !== null && generation !== current.generation)) {
        throw notFound(`No such object: ${bucket}/${name}`);
      }
      checkPreconditions(conditions, current);
      const found = await this.#find(bucket, name);
      if (found === undefined) return;
      await unlink(found.path);
      await this.#records.forget(bucket, found.key);
      await this.#pruneFolders(bucket, toSegments(name));
    });
  }

  // ---- files

  async #find(bucket: string, name: string): Promise<Found | undefined> {
    const segments = toSegments(name);
    const found = await this.#findAt(bucket, segments);
    const literal = name.split("/");
    if (found !== undefined || literal.join("/") === segments.join("/") || !literal.every(isFileName)) return found;
    return this.#findAt(bucket, literal); // put there by hand under a name that klio would escape
  }

  async #findAt(bucket: string, path: readonly string[]): Promise<Found | undefined> {
    const last = path.at(-1) ?? "";
    let folder = join(this.root, bucket);
    for (const segment of path.slice(0, -1)) {
      folder = join(folder, segment);
      if ((await lstatOrNot(folder))?.isDirectory() !== true) return undefined;
    }
    return (await fileAt(join(folder, last))) ?? (await fileAt(join(folder, last + besideFolder)));
  }

  /** Makes the folders an object needs and returns where its file goes. */
  async #place(bucket: string, name: string): Promise<string> {
    const there = await this.#find(bucket, name);
    if (there !== undefined) return there.path;
    const segments = toSegments(name);
    const last = segments.pop() ?? "";
    let folder = join(this.root, bucket);
    for (const segment of segments) {
      folder = join(folder, segment);
      const found = await lstatOrNot(folder);
      if (found?.isSymbolicLink() === true)
        throw forbidden(`${folder} is a symbolic link; objects are not written through it`);
      if (found?.isFile() === true) await rename(folder, folder + besideFolder);
      if (found?.isDirectory() !== true) await mkdir(folder);
    }
    const plain = join(folder, last);
    const beside = plain + besideFolder;
    const taken = await lstatOrNot(plain);
    if (taken?.isSymbolicLink() === true)
      throw forbidden(`${plain} is a symbolic link; objects are not written through it`);
    if (taken?.isDirectory() === true) return beside;
    if (taken === undefined && (await lstatOrNot(beside))?.isFile() === true) return beside;
    return plain;
  }

  async #pruneFolders(bucket: string, segments: string[]): Promise<void> {
    for (let depth = segments.length - 1; depth > 0; depth -= 1) {
      try {
        await rmdir(join(this.root, bucket, ...segments.slice(0, depth)));
      } catch {
        return; // not empty: others live there
      }
    }
  }

  async *#walk(bucket: string, segments: string[]): AsyncGenerator<{ name: string; found: Found }> {
    const folder = join(this.root, bucket, ...segments);
    const entries: Dirent[] = await readdir(folder, { withFileTypes: true }).catch(goneIsEmpty);
    for (const entry of entries) {
      const path = [...segments, entry.name];
      if (entry.isDirectory()) yield* this.#walk(bucket, path);
      if (!entry.isFile()) continue;
      const found = await fileAt(join(this.root, bucket, ...path));
      if (found === undefined) continue;
      const name = fromSegments(path) ?? (await this.#records.read(bucket, found.key))?.name;
      if (name !== undefined) yield { name, found };
    }
  }

  // ---- records

  async #recordOf(bucket: string, name: string, found: Found): Promise<ObjectRecord> {
    const record = await this.#records.read(bucket, found.key);
    if (record?.name === name) return record;
    return this.#adopt(bucket, name, found);
  }

  /** Makes a record for a file that somebody put there by hand. Its generation is the file's time in microseconds. */
  async #adopt(bucket: string, name: string, found: Found): Promise<ObjectRecord> {
    const checksums = new Checksums();
    for await (const chunk of createReadStream(found.path) as AsyncIterable<Buffer>) checksums.update(chunk);
    const time = new Date(Number(found.mtimeNs / 1_000_000n)).toISOString();
    const record: ObjectRecord = {
      bucket,
      name,
      generation: (found.mtimeNs > 1_000n ? found.mtimeNs / 1_000n : 1n).toString(),
      metageneration: "1",
      size: found.size,
      ...checksums.digest(),
      timeCreated: time,
      updated: time,
      settings: {},
    };
    await this.#records.write(bucket, found.key, record);
    return record;
  }

  /** Removes records whose file is gone. */
  async #sweepRecords(): Promise<void> {
    for (const bucket of await this.buckets()) {
      const live = new Set<string>();
      for await (const { found } of this.#walk(bucket, [])) live.add(found.key);
      await this.#records.sweep(bucket, live);
    }
  }

  #nextGeneration(): string {
    const now = BigInt(Date.now()) * 1_000n;
    this.#lastGeneration = now > this.#lastGeneration ? now : this.#lastGeneration + 1n;
    return this.#lastGeneration.toString();
  }

  /** One change at a time in a bucket: the check of a precondition and the write it allows belong together. */
  async #inTurn<T>(bucket: string, change: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(bucket) ?? Promise.resolve();
    const mine = before.then(change, change);
    const settled = mine.catch(() => undefined);
    this.#turns.set(bucket, settled);
    try {
      return await mine;
    } finally {
      if (this.#turns.get(bucket) === settled) this.#turns.delete(bucket);
    }
  }
}
