import { createReadStream, existsSync } from "node:fs";
import { type FileHandle, open, truncate } from "node:fs/promises";
import { jsonLine } from "../json-line.js";
import type { DoneRecord } from "./records.js";

/**
 * The elements of a batch run that are done, a line each. What `append` has resolved for survives the end of the process and
 * of the machine; a line that was cut short by either is cut off at the next start.
 */
export class Journal {
  readonly #waiting: { line: string; resolve: () => void; reject: (error: unknown) => void }[] = [];
  #writing = false;
  /** Once a write has failed, what the file ends in is not known: nothing more is added. */
  #broken: Error | undefined;

  private constructor(readonly file: FileHandle) {}

  /** Opens a journal and calls `onRecord` for what is in it. */
  static async open(path: string, onRecord: (record: DoneRecord) => void): Promise<Journal> {
    if (existsSync(path)) await truncate(path, await readRecords(path, onRecord));
    return new Journal(await open(path, "a"));
  }

  /** How many whole records a journal has; 0 when it is not there. */
  static async count(path: string): Promise<number> {
    let records = 0;
    if (existsSync(path)) await readRecords(path, () => (records += 1));
    return records;
  }

  /** Resolves once the record is on disk. */
  append(record: DoneRecord): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#broken !== undefined) {
        reject(this.#broken);
        return;
      }
      this.#waiting.push({ line: jsonLine(record), resolve, reject });
      if (!this.#writing) void this.#writeAll();
    });
  }

  async close(): Promise<void> {
    await this.file.close();
  }

  /** While one write is on its way to the disk, the next ones gather behind it. */
  async #writeAll(): Promise<void> {
    this.#writing = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0);
      try {
        await this.file.appendFile(batch.map((w) => w.line).join(""));
        await this.file.datasync();
        for (const { resolve } of batch) resolve();
      } catch (error) {
        this.#broken = error instanceof Error ? error : new Error(String(error));
        for (const { reject } of [...batch, ...this.#waiting.splice(0)]) reject(error);
      }
    }
    this.#writing = false;
  }
}

/** Reads whole lines and returns where the last of them ends. */
async function readRecords(path: string, onRecord: (record: DoneRecord) => void): Promise<number> {
  let rest = Buffer.alloc(0);
  let end = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, chunk]);
    let from = 0;
    for (let at = rest.indexOf("\n"); at >= 0; at = rest.indexOf("\n", from)) {
      const record = parse(rest.subarray(from, at));
      if (record === undefined) return end;
      onRecord(record);
      end += at + 1 - from;
      from = at + 1;
    }
    rest = rest.subarray(from);
  }
  return end;
}

function parse(line: Buffer): DoneRecord | undefined {
  try {
    return JSON.parse(line.toString()) as DoneRecord;
  } catch {
    return undefined; // written when the machine went down
  }
}
