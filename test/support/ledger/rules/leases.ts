import type { BeginEntry, Entry } from "../entry.js";
import type { History } from "../history.js";
import { Leases } from "../leases.js";
import type { Violation } from "../violation.js";

/** How much later than it happens an exit may be noted on a busy machine: the grace period is all that a job has. */
const endMs = 3_000;

/** I8 and I9: what is outstanding at each moment, and what is left when a supervisor was told to stop. */
export function checkLeases(history: History): Violation[] {
  const violations: Violation[] = [];
  const { begin, entries } = history;
  const leases = new Leases(history);
  const drained = new Map<number, number>();
  let told = false;
  for (const entry of entries) {
    leases.take(entry);
    if (entry.source === "broker" && entry.kind === "deliver") {
      const what = leases.excess();
      // Once is enough: the next deliveries would only repeat it.
      if (what !== undefined && !told) violations.push({ rule: "I9", messageId: entry.messageId, what });
      told = what !== undefined;
    }
    if (entry.source !== "process") continue;
    if (entry.kind === "signal" && entry.who === "supervisor" && ["SIGTERM", "SIGINT"].includes(entry.signal)) {
      drained.set(entry.life, entry.time);
    }
    const since = entry.kind === "exit" || entry.kind === "left" ? drained.get(entry.life) : undefined;
    if (since !== undefined) violations.push(...checkDrain(entry, begin, since, leases));
  }
  return violations;
}

function checkDrain(entry: Entry, begin: BeginEntry, since: number, leases: Leases): Violation[] {
  const complaints: string[] = [];
  if (entry.source !== "process") return [];
  if (entry.kind === "exit") {
    if (entry.code !== 0) complaints.push(`exit code ${entry.code ?? entry.signal ?? ""}, not 0`);
    const ms = entry.time - since;
    if (ms > begin.gracePeriodMs + endMs)
      complaints.push(`it took ${ms} ms, with a grace period of ${begin.gracePeriodMs}`);
    if (leases.alone && leases.messages > 0) complaints.push(`${leases.messages} messages are still in flight`);
  } else if (entry.kind === "left") {
    if (entry.children.length > 0) complaints.push(`processes ${entry.children.join()} live on`);
    if (entry.ports.length > 0) complaints.push(`ports ${entry.ports.join()} are still listened on`);
    if (entry.temporary.length > 0) complaints.push(`temporary files ${entry.temporary.join()} are left`);
  }
  return complaints.map((what) => ({ rule: "I8", messageId: "", what: `supervisor ${entry.life}: ${what}` }));
}
