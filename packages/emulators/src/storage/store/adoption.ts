import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { Checksums } from "./checksums.js";
import { type Found, keyOf } from "./files.js";
import type { Generations } from "./generations.js";
import type { RecordFiles } from "./record-files.js";
import type { ObjectRecord } from "./record.js";

/** Makes records for files that somebody put there by hand: one each, however many ask at once. */
export class Adoption {
  readonly #running = new Map<string, Promise<ObjectRecord>>();

  constructor(
    readonly records: RecordFiles,
    readonly generations: Generations,
  ) {}

  /** Undefined when the file changes, or goes, meanwhile. */
  async record(bucket: string, name: string, found: Found): Promise<ObjectRecord | undefined> {
    const id = `${bucket}/${found.key}/${name}`;
    const running = this.#running.get(id) ?? this.#adopt(bucket, name, found);
    this.#running.set(id, running);
    try {
      return await running;
    } catch (error) {
      if (error instanceof ChangedError || (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    } finally {
      this.#running.delete(id);
    }
  }

  async #adopt(bucket: string, name: string, found: Found): Promise<ObjectRecord> {
    const file = await open(found.path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const { mtime } = await file.stat();
      const checksums = new Checksums();
      let size = 0;
      for await (const chunk of file.createReadStream({ autoClose: false }) as AsyncIterable<Buffer>) {
        checksums.update(chunk);
        size += chunk.length;
      }
      if (keyOf(await file.stat({ bigint: true })) !== found.key) throw new ChangedError();
      const time = mtime.toISOString();
      const generation = this.generations.next();
      const stamp = { generation, metageneration: "1", timeCreated: time, updated: time, settings: {} };
      const record: ObjectRecord = { bucket, name, size, ...checksums.digest(), ...stamp };
      await this.records.write(found.key, record);
      return record;
    } finally {
      await file.close();
    }
  }
}

class ChangedError extends Error {}
