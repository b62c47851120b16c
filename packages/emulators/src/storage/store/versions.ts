import { type FileHandle, link, mkdir, open, readdir, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { goneIsEmpty } from "./files.js";
import { readJson, writeJson } from "./json-file.js";
import { hashOf } from "./record-files.js";
import type { ObjectRecord } from "./record.js";

/** Versions of objects that are not live: `<folder>/<bucket>/<hash of the name>/<generation>`, and a record beside. */
export class Versions {
  constructor(
    readonly folder: string,
    readonly staging: string,
  ) {}

  /** Keeps the bytes of a file as a version. They are the file's own, which is to be replaced or removed. */
  async keep(path: string, record: ObjectRecord): Promise<void> {
    const file = this.#path(record);
    await mkdir(join(file, ".."), { recursive: true });
    await rm(file, { force: true });
    await link(path, file);
    await this.write(record);
  }

  async write(record: ObjectRecord): Promise<void> {
    await writeJson(this.staging, `${this.#path(record)}.json`, record);
  }

  async get(bucket: string, name: string, generation: string): Promise<ObjectRecord | undefined> {
    if (!/^\d+$/.test(generation)) return undefined;
    return this.#alive(await readJson<ObjectRecord>(`${this.#path({ bucket, name, generation })}.json`));
  }

  async open(record: ObjectRecord): Promise<FileHandle> {
    return open(this.#path(record), "r");
  }

  /** Those of a bucket. In no order. */
  async *list(bucket: string): AsyncGenerator<ObjectRecord> {
    for (const name of await readdir(join(this.folder, bucket)).catch(goneIsEmpty)) {
      const folder = join(this.folder, bucket, name);
      for (const file of await readdir(folder).catch(goneIsEmpty)) {
        if (!file.endsWith(".json")) continue;
        const record = await this.#alive(await readJson<ObjectRecord>(join(folder, file)));
        if (record !== undefined) yield record;
      }
    }
  }

  async remove(record: ObjectRecord): Promise<void> {
    // The record first: bytes without one are swept.
    await rm(`${this.#path(record)}.json`, { force: true });
    await rm(this.#path(record), { force: true });
    await rmdir(join(this.#path(record), "..")).catch(() => undefined); // there are others
  }

  async removeBucket(bucket: string): Promise<void> {
    await rm(join(this.folder, bucket), { recursive: true, force: true });
  }

  /** Removes what a killed process left: bytes without a record, and versions that are still live. */
  async sweep(bucket: string, live: (name: string) => Promise<string | undefined>): Promise<void> {
    for await (const record of this.list(bucket)) {
      if ((await live(record.name)) === record.generation) await this.remove(record);
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
  async #alive(record: ObjectRecord | undefined): Promise<ObjectRecord | undefined> {
    if (record?.hardDeleteTime === undefined || Date.parse(record.hardDeleteTime) > Date.now()) return record;
    await this.remove(record);
    return undefined;
  }

  #path({ bucket, name, generation }: Pick<ObjectRecord, "bucket" | "name" | "generation">): string {
    return join(this.folder, bucket, hashOf(name), generation);
  }
}
