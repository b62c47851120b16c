import { createHash } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { goneIsEmpty } from "./files.js";
import type { JsonFiles } from "./json-files.js";
import type { ObjectRecord } from "./record.js";

/**
 * The records of objects, a file for each pair of a file's key and an object's name: so a file can be renamed to another object
 * with both records in place, and the rename decides which of them counts.
 */
export class RecordFiles {
  constructor(
    readonly folder: string,
    readonly files: JsonFiles,
  ) {}

  read(bucket: string, key: string, name: string): ObjectRecord | undefined {
    return this.files.read(this.#path(bucket, key, name));
  }

  /** Writes the record of a file that is not in its place yet: it is the rename that makes it count. */
  add(key: string, record: ObjectRecord): void {
    this.files.add(this.#path(record.bucket, key, record.name), record);
  }

  write(key: string, record: ObjectRecord): void {
    this.files.write(this.#path(record.bucket, key, record.name), record);
  }

  forget(bucket: string, key: string, name: string): void {
    this.files.remove(this.#path(bucket, key, name));
  }

  async forgetBucket(bucket: string): Promise<void> {
    await rm(join(this.folder, bucket), { recursive: true, force: true });
    this.files.forget(join(this.folder, bucket));
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
