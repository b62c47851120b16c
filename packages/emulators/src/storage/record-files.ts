import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ObjectRecord } from "./record.js";

/** The records of objects as JSON files, `<folder>/<bucket>/<key>.json`; each appears whole or not at all. */
export class RecordFiles {
  constructor(
    readonly folder: string,
    readonly stagingPath: () => string,
  ) {}

  async read(bucket: string, key: string): Promise<ObjectRecord | undefined> {
    try {
      return JSON.parse(await readFile(this.#path(bucket, key), "utf8")) as ObjectRecord;
    } catch {
      return undefined; // absent; a torn one cannot be, records are renamed into place
    }
  }

  async write(bucket: string, key: string, record: ObjectRecord): Promise<void> {
    const staging = this.stagingPath();
    await writeFile(staging, JSON.stringify(record));
    await mkdir(join(this.folder, bucket), { recursive: true });
    await rename(staging, this.#path(bucket, key));
  }

  async forget(bucket: string, key: string): Promise<void> {
    await rm(this.#path(bucket, key), { force: true });
  }

  async forgetBucket(bucket: string): Promise<void> {
    await rm(join(this.folder, bucket), { recursive: true, force: true });
  }

  /** Removes the records whose key is not alive. */
  async sweep(bucket: string, live: ReadonlySet<string>): Promise<void> {
    const files = await readdir(join(this.folder, bucket)).catch(() => []);
    for (const file of files) {
      if (!live.has(file.replace(/\.json$/, ""))) await rm(join(this.folder, bucket, file), { force: true });
    }
  }

  #path(bucket: string, key: string): string {
    return join(this.folder, bucket, `${key}.json`);
  }
}
