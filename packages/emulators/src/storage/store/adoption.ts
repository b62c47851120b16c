import { Checksums } from "./checksums.js";
import { type Found, keyOf, lstatOrNot } from "./files.js";
import type { Generations } from "./generations.js";
import { OpenFile } from "./open-file.js";
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
      if (error instanceof ChangedError) return undefined;
      throw error;
    } finally {
      this.#running.delete(id);
    }
  }

  async #adopt(bucket: string, name: string, found: Found): Promise<ObjectRecord> {
    const file = OpenFile.at(found.path);
    if (file?.key !== found.key) {
      file?.close();
      throw new ChangedError();
    }
    const time = file.mtime.toISOString();
    const checksums = new Checksums();
    let size = 0;
    for await (const chunk of file.bytes()) {
      checksums.update(chunk);
      size += chunk.length;
    }
    const now = lstatOrNot(found.path);
    if (now === undefined || keyOf(now) !== found.key) throw new ChangedError();
    const generation = this.generations.next();
    const stamp = { generation, metageneration: "1", timeCreated: time, updated: time, settings: {} };
    const record: ObjectRecord = { bucket, name, size, ...checksums.digest(), ...stamp };
    this.records.write(found.key, record);
    return record;
  }
}

class ChangedError extends Error {}
