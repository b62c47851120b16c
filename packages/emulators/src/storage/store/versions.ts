import { linkSync, mkdirSync, rmdirSync, rmSync } from "node:fs";
import { readdir, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { noObject } from "../errors.js";
import { goneIsEmpty } from "./files.js";
import type { JsonFiles } from "./json-files.js";
import { OpenFile } from "./open-file.js";
import { hashOf } from "./record-files.js";
import type { ObjectRecord } from "./record.js";

/** Versions of objects that are not live: `<folder>/<bucket>/<hash of the name>/<generation>`, and a record beside. */
export class Versions {
  constructor(
    readonly folder: string,
    readonly files: JsonFiles,
  ) {}

  /** Keeps the bytes of a file as a version. They are the file's own, which is to be replaced or removed. */
  keep(path: string, record: ObjectRecord): void {
    const file = this.#path(record);
    mkdirSync(join(file, ".."), { recursive: true });
    rmSync(file, { force: true });
    linkSync(path, file);
    this.write(record);
  }

  write(record: ObjectRecord): void {
    this.files.write(`${this.#path(record)}.json`, record);
  }

  get(bucket: string, name: string, generation: string): ObjectRecord | undefined {
    if (!/^\d+$/.test(generation)) return undefined;
    return this.#alive(this.files.read<ObjectRecord>(`${this.#path({ bucket, name, generation })}.json`));
  }

  /** Throws 404 when it has gone meanwhile. */
  open(record: ObjectRecord): OpenFile {
    const file = OpenFile.at(this.#path(record));
    if (file === undefined) throw noObject(record.bucket, record.name);
    return file;
  }

  /** Those of a bucket. In no order. */
  async *list(bucket: string): AsyncGenerator<ObjectRecord> {
    for (const name of await readdir(join(this.folder, bucket)).catch(goneIsEmpty)) {
      const folder = join(this.folder, bucket, name);
      for (const file of await readdir(folder).catch(goneIsEmpty)) {
        if (!file.endsWith(".json")) continue;
        const record = this.#alive(this.files.read<ObjectRecord>(join(folder, file)));
        if (record !== undefined) yield record;
      }
    }
  }

  remove(record: ObjectRecord): void {
    // The record first: bytes without one are swept.
    this.files.remove(`${this.#path(record)}.json`);
    rmSync(this.#path(record), { force: true });
    try {
      rmdirSync(join(this.#path(record), ".."));
    } catch {
      // there are others
    }
  }

  async removeBucket(bucket: string): Promise<void> {
    await rm(join(this.folder, bucket), { recursive: true, force: true });
    this.files.forget(join(this.folder, bucket));
  }

  /** Removes what a killed process left: bytes without a record, and versions that are still live. */
  async sweep(bucket: string, live: (name: string) => Promise<string | undefined>): Promise<void> {
    for await (const record of this.list(bucket)) {
      if ((await live(record.name)) === record.generation) this.remove(record);
    }
    for (const name of await readdir(join(this.folder, bucket)).catch(goneIsEmpty)) {
      const folder = join(this.folder, bucket, name);
      const files = new Set(await readdir(folder).catch(goneIsEmpty));
      for (const file of files) {
        if (!file.endsWith(".json") && !files.has(`${file}.json`)) await rm(join(folder, file), { force: true });
      }
      await rmdir(folder).catch(() => undefined); // not empty
    }
  }

  /** A soft-deleted object ends with its time. */
  #alive(record: ObjectRecord | undefined): ObjectRecord | undefined {
    if (record?.hardDeleteTime === undefined || Date.parse(record.hardDeleteTime) > Date.now()) return record;
    this.remove(record);
    return undefined;
  }

  #path({ bucket, name, generation }: Pick<ObjectRecord, "bucket" | "name" | "generation">): string {
    return join(this.folder, bucket, hashOf(name), generation);
  }
}
