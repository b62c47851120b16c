import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type JournalRecord, JournalRecordSchema } from "../../../gen/journal_pb.js";
import { frame, nextFrame, readFrame } from "./frames.js";
import type { Warn } from "./message-log.js";
import { openFileSegment, type Segment, syncDirectory } from "./segments.js";

export type Change = NonNullable<MessageInitShape<typeof JournalRecordSchema>["change"]>;

/** The file, or the memory, that a journal is written to. */
export interface JournalFile {
  open(): Segment;
  /** Puts a new content in the place of the old, whole or not at all. */
  replace(bytes: Buffer): Segment;
}

/** A journal is written anew when it has this many bytes and twice what it had after the last time. */
const worthCompacting = 4 * 1024 * 1024;

/** Every change of topics, subscriptions and snapshots, and what was acknowledged. */
export class Journal {
  #segment: Segment;
  #compacted = 0;

  constructor(
    readonly file: JournalFile,
    readonly warn: Warn,
  ) {
    this.#segment = file.open();
  }

  /**
   * What was written so far. A record at the end that was not written whole is cut off. `damaged`: something else is missing,
   * so that what the journal does not know of may still have been wanted.
   */
  replay(): { readonly records: JournalRecord[]; readonly damaged: boolean } {
    const buffer = this.#segment.read(0, this.#segment.size);
    const records: JournalRecord[] = [];
    let damaged = false;
    for (let at = 0; at < buffer.length;) {
      const framed = readFrame(buffer, at);
      if (framed.kind === "whole") {
        records.push(fromBinary(JournalRecordSchema, framed.payload));
        at = framed.next;
        continue;
      }
      const next = nextFrame(buffer, at);
      damaged ||= next !== undefined || framed.kind === "corrupt";
      if (next === undefined) {
        this.warn(`the last ${buffer.length - at} bytes of the journal were not written whole and are dropped`);
        this.#segment.cut(at, true);
        break;
      }
      this.warn(`${next - at} bytes at ${at} of the journal are damaged and left out`);
      at = next;
    }
    return { records, damaged };
  }

  append(change: Change): void {
    this.#segment.append(encode(change));
  }

  sync(): void {
    this.#segment.sync();
  }

  get worthCompacting(): boolean {
    return this.#segment.size > Math.max(worthCompacting, 2 * this.#compacted);
  }

  /** Writes the journal anew: `changes` lead to the state of now. */
  compact(changes: readonly Change[]): void {
    const bytes = Buffer.concat(changes.map(encode));
    const before = this.#segment;
    this.#segment = this.file.replace(bytes);
    before.close();
    this.#compacted = bytes.length;
  }

  close(): void {
    this.#segment.close();
  }
}

function encode(change: Change): Buffer {
  return frame(toBinary(JournalRecordSchema, create(JournalRecordSchema, { change })));
}

/** `onDisk`: a new content is on the disk itself before it takes the place of the old. */
export function journalOnDisk(path: string, onDisk: boolean): JournalFile {
  return {
    open() {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      return openFileSegment(path);
    },
    replace(bytes) {
      const next = `${path}.new`;
      const file = openSync(next, "w", 0o600);
      try {
        for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
        if (onDisk) fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(next, path);
      if (onDisk) syncDirectory(dirname(path));
      return openFileSegment(path);
    },
  };
}
