import type { BeginEntry, BrokerEntry, Entry } from "../entry.js";
import type { History } from "../history.js";
import type { Violation } from "../violation.js";

/** How long after the end of the grace period an exit may come: workers tear down, and messages are given back. */
const endMs = 10_000;

/** I8 and I9: what is outstanding at each moment, and what is left when a supervisor was told to stop. */
export function checkLeases({ begin, entries }: History): Violation[] {
  const violations: Violation[] = [];
  const leases = new Leases(begin);
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

/** What the broker has handed out and not yet got back, by message. */
class Leases {
  readonly #held = new Map<string, { count: number; readonly bytes: number }>();
  readonly #alive = new Set<number>();
  /** Supervisors whose leases may be among those that are held. */
  #holders = 0;
  messages = 0;
  bytes = 0;

  constructor(readonly begin: BeginEntry) {}

  /** Whether all that is held is held by the one that ended last. */
  get alone(): boolean {
    return this.#holders <= 1;
  }

  excess(): string | undefined {
    const { messages, bytes } = this.begin.bound;
    const times = Math.max(1, this.#holders);
    if (this.messages > messages * times) return `${this.messages} messages outstanding, more than ${messages * times}`;
    if (this.bytes > bytes * times && this.messages > 1)
      return `${this.bytes} bytes outstanding, more than ${bytes * times}`;
    return undefined;
  }

  take(entry: Entry): void {
    if (entry.source === "process" && entry.kind === "start") {
      if (this.#alive.size === 0) this.#clear(); // a supervisor that is gone works on nothing
      this.#alive.add(entry.life);
      this.#holders += 1;
    } else if (entry.source === "process" && entry.kind === "exit") this.#alive.delete(entry.life);
    else if (entry.source === "broker") this.#takeBroker(entry);
  }

  #takeBroker(entry: BrokerEntry): void {
    if (entry.kind === "start") {
      this.#forgetLeases();
      return;
    }
    if (entry.resource !== this.begin.subscription) return;
    if (entry.kind === "deliver") this.#add(entry.messageId, entry.bytes, 1);
    else if (entry.kind === "acknowledge" || entry.kind === "lose-acknowledge") {
      this.#add(entry.messageId, 0, -Infinity); // whoever was told so has it no more
    } else if (entry.kind !== "publish" && entry.kind !== "dead-letter") this.#add(entry.messageId, 0, -1);
  }

  #add(messageId: string, bytes: number, change: number): void {
    const held = this.#held.get(messageId) ?? { count: 0, bytes };
    const count = Math.max(0, held.count + change);
    this.messages += count - held.count;
    this.bytes += (count - held.count) * held.bytes;
    if (count === 0) this.#held.delete(messageId);
    else this.#held.set(messageId, { count, bytes: held.bytes });
  }

  #clear(): void {
    this.#forgetLeases();
    this.#holders = 0;
  }

  #forgetLeases(): void {
    this.#held.clear();
    this.messages = 0;
    this.bytes = 0;
  }
}
