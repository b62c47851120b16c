import type { Expectation, StorageEntry } from "../entry.js";
import type { History } from "../history.js";
import type { Violation } from "../violation.js";

type Wanted = Expectation["objects"][number];

/** What `klio-by` remembers. */
const rememberedRequests = 32;

/** I3: every version that was ever visible holds what its request was to write. */
export function checkWholeness(history: History): Violation[] {
  const wanted = new Map<string, Wanted>();
  for (const sent of history.sentById.values()) for (const object of sent.objects) wanted.set(object.name, object);
  return history.commits.flatMap(({ name, size, crc32c, generation, by }): Violation[] => {
    const want = wanted.get(name);
    const messageId = history.sentById.get(by[0] ?? "")?.messageId ?? "";
    if (want === undefined) return [{ rule: "I3", messageId, what: `${name} was written, which no message asks for` }];
    const [least, crc] = [want.size ?? size, want.crc32c ?? crc32c];
    if (least === size && crc === crc32c) return [];
    const what = `generation ${generation} of ${name} has ${size} bytes and CRC ${crc32c}, not ${least} and ${crc}`;
    return [{ rule: "I3", messageId, what }];
  });
}

/** I4: each request writes an object once, over nothing that it has not seen, and over what exists only when it is forced. */
export function checkSingleWrites(history: History): Violation[] {
  const { begin, entries, sentById } = history;
  const violations: Violation[] = [];
  const live = new Map<string, StorageEntry>();
  const writes = new Set<string>();
  for (const entry of entries) {
    if (entry.source !== "storage" || entry.bucket !== begin.outputBucket) continue;
    const before = live.get(entry.name);
    if (entry.kind === "delete") live.delete(entry.name);
    else live.set(entry.name, entry);
    if (entry.kind === "delete") continue;
    const [request] = entry.by;
    const sent = sentById.get(request ?? "");
    const tell = (what: string) =>
      violations.push({ rule: "I4", messageId: sent?.messageId ?? "", what: `${entry.name}: ${what}` });
    if (request === undefined || sent === undefined) {
      tell(`written by ${request ?? "nobody"}, which was never sent`);
      continue;
    }
    const write = JSON.stringify([entry.name, request]);
    if (writes.has(write)) tell(`request ${request} wrote it twice`);
    writes.add(write);
    if (before !== undefined && !sent.force) tell(`request ${request} wrote over it without being forced`);
    const seen = (before?.by ?? []).slice(0, rememberedRequests - 1).join();
    if (entry.by.slice(1).join() !== seen) tell(`request ${request} wrote over ${seen}, which it had not seen`);
  }
  return violations;
}
