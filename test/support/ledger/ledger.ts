import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import type { Entry, NewEntry } from "./entry.js";

/** A file to which all processes of a run append what happened, a line at a time: one order for all. */
export class Ledger {
  readonly #writing: number;
  readonly #reading: number;
  readonly #entries: Entry[] = [];
  readonly #counts = new Map<string, number>();
  readonly #listeners: ((entry: NewEntry) => void)[] = [];
  #read = 0;
  #rest = Buffer.alloc(0);

  constructor(readonly path: string) {
    this.#writing = openSync(path, "a");
    this.#reading = openSync(path, "r");
  }

  /** Writes before it returns; listeners are called then, at once. */
  append(entry: NewEntry): void {
    writeSync(this.#writing, `${JSON.stringify({ ...entry, time: Date.now() })}\n`);
    for (const listener of this.#listeners) listener(entry);
  }

  /** Of what this process appends. */
  listen(listener: (entry: NewEntry) => void): void {
    this.#listeners.push(listener);
  }

  /** Everything so far, by whichever process. */
  entries(): readonly Entry[] {
    const { size } = fstatSync(this.#reading);
    if (size === this.#read) return this.#entries;
    const fresh = Buffer.alloc(size - this.#read);
    this.#read += readSync(this.#reading, fresh, 0, fresh.length, this.#read);
    const text = Buffer.concat([this.#rest, fresh]);
    const end = text.lastIndexOf("\n") + 1;
    this.#rest = text.subarray(end);
    for (const entry of parseLedger(text.subarray(0, end).toString())) {
      this.#entries.push(entry);
      const key = keyOf(entry);
      this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    }
    return this.#entries;
  }

  /** How many entries there are of a key, see {@link keyOf}. */
  count(key: string): number {
    this.entries();
    return this.#counts.get(key) ?? 0;
  }

  close(): void {
    closeSync(this.#writing);
    closeSync(this.#reading);
  }
}

/** What entries are counted by: `broker/acknowledge/fault-in-job`, `job/outcome/processed`, `process/exit`. */
function keyOf(entry: Entry): string {
  const { source } = entry;
  if (source === "job")
    return entry.event === "outcome" ? `job/outcome/${String(entry["outcome"])}` : `job/${entry.event}`;
  if (source === "begin" || source === "sent") return source;
  if (source === "fault") return `${source}/${entry.of}/${entry.fault}`;
  if (source === "broker" && entry.kind !== "start") return `${source}/${entry.kind}/${entry.resource}`;
  return `${source}/${entry.kind}`;
}

/** The entries of a ledger's text. */
export function parseLedger(text: string): Entry[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Entry);
}
