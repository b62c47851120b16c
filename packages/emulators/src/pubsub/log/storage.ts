import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { lockDirectory } from "../../directory-lock.js";
import { type JournalFile, journalOnDisk } from "./journal.js";
import { FileSegments, MemorySegments, memorySegment, type SegmentStore } from "./segments.js";

/** Where an emulator keeps its messages and its journal. */
export interface PubSubStorage {
  readonly journal: JournalFile;
  /** Whether what is confirmed has to be on the disk itself, not only with the operating system. */
  readonly onDisk: boolean;
  /** The log of the topic with this uid. */
  log(uid: string): SegmentStore;
  /** Removes the logs of all topics but these: what a crash left of a topic that was being deleted. */
  keepOnly(uids: ReadonlySet<string>): void;
  /** Lets others open it. */
  release(): void;
}

/**
 * A directory of files: `journal`, and a folder of log segments for each topic. `onDisk`: what is written
 * counts once it is on the disk itself. Throws when another process uses it.
 */
export function diskStorage(directory: string, onDisk = false): PubSubStorage {
  const lock = lockDirectory(directory);
  const topics = join(directory, "topics");
  return {
    onDisk,
    journal: journalOnDisk(join(directory, "journal"), onDisk),
    log: (uid) => new FileSegments(join(topics, uid), onDisk),
    keepOnly(uids) {
      for (const name of listed(topics)) {
        if (!uids.has(name)) rmSync(join(topics, name), { recursive: true, force: true });
      }
    },
    release: lock.release,
  };
}

function listed(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

export function memoryStorage(): PubSubStorage {
  const logs = new Map<string, MemorySegments>();
  let journal = memorySegment();
  return {
    onDisk: false,
    journal: {
      open: () => journal,
      replace(bytes) {
        journal = memorySegment();
        journal.append(bytes);
        return journal;
      },
    },
    log(uid) {
      const log = logs.get(uid) ?? new MemorySegments();
      logs.set(uid, log);
      return log;
    },
    keepOnly(uids) {
      for (const uid of logs.keys()) if (!uids.has(uid)) logs.delete(uid);
    },
    release: () => undefined,
  };
}
