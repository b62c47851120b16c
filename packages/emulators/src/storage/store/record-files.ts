import { createHash } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { goneIsEmpty } from "./files.js";
import { readJson, writeJson } from "./json-file.js";
import type { ObjectRecord } from "./record.js";

/**
 * The records of objects, a file for each pair of a file's key and an object's name: so a file can be renamed to another object
 * with both records in place, and the rename decides which of them counts.
 */
export class RecordFiles {
  constructor(
    readonly folder: string,
    readonly staging: string,
  ) {}

  read(bucket: string, key: string, name: string): Promise<ObjectRecord | undefined> {
    return readJson(this.#path(bucket, key, name));
  }

  async write(key: string, record: ObjectRecord): Promise<void> {
    await writeJson(this.staging, this.#path(record.bucket, key, record.name), record);
  }

  async forget(bucket: string, key: string, name: string): Promise<void> {
    await rm(this.#path(bucket, key, name), { force: true });
  }

  async forgetBucket(bucket: string): Promise<void> {
    await rm(join(this.folder, bucket), { recursive: true, force: true });
  }

  /** Removes the records that belong to none of these files. */
  async sweep(bucket: string, live: readonly { readonly key: string; readonly name: string }[]): Promise<void> {
    const files = new Set(live.map(({ key, name }) => fileName(key, name)));
    for (const file of await readdir(join(this.folder, bucket)).catch(goneIsEmpty)) {
      if (!files.has(file)) await rm(join(this.folder, bucket, file), { force: true });
    }
  }

  #path(bucket: string, key: string, name: string): string {
    return join(this.folder, bucket, fileName(key, name));
  }
}

function fileName(key: string, name: string): string {
  return `${key}.${hashOf(name)}.json`;
}

/** Stands for an object's name in the name of a file. */
export function hashOf(name: string): string {
  return createHash("sha256").update(name).digest("hex").slice(0, 32);
}
