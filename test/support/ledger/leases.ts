import type { BrokerEntry, Entry } from "./entry.js";
import type { History } from "./history.js";

interface Held {
  readonly count: number;
  readonly bytes: number;
}

/** What the broker has handed out and not yet got back, by message. */
export class Leases {
  readonly #held = new Map<string, Held>();
  /** Handed out on a stream that broke, so that nobody knows whether they arrived. */
  readonly #unsure = new Map<string, Held>();
  /** Messages that the job has begun. */
  readonly #begun = new Set<string>();
  readonly #alive = new Set<number>();
  /** Supervisors whose leases may be among those that are held. */
  #holders = 0;
  messages = 0;
  bytes = 0;

  constructor(readonly history: Pick<History, "begin" | "sentById">) {}

  /** Whether all that is held is held by the one that ended last. */
  get alone(): boolean {
    return this.#holders <= 1;
  }

  excess(): string | undefined {
    const { messages, bytes } = this.history.begin.bound;
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
    else if (entry.source === "fault" && entry.fault === "resetStream") this.#doubt();
    else if (entry.source === "worker" && entry.kind === "start") this.#begin(entry.klioId);
  }

  /** What the job has not begun may be lost with the stream that broke. */
  #doubt(): void {
    for (const [messageId, { count, bytes }] of this.#held) {
      if (this.#begun.has(messageId)) continue;
      this.#set(messageId, 0, bytes);
      this.#unsure.set(messageId, { bytes, count: count + (this.#unsure.get(messageId)?.count ?? 0) });
    }
  }

  #begin(klioId: string): void {
    const messageId = this.history.sentById.get(klioId)?.messageId ?? klioId;
    this.#begun.add(messageId);
    const arrived = this.#unsure.get(messageId);
    if (arrived === undefined) return;
    this.#unsure.delete(messageId);
    this.#set(messageId, this.#count(messageId) + arrived.count, arrived.bytes);
  }

  #takeBroker(entry: BrokerEntry): void {
    if (entry.kind === "start") {
      this.#forgetLeases();
      return;
    }
    if (entry.resource !== this.history.begin.subscription) return;
    const { kind, messageId, bytes } = entry;
    if (kind === "deliver") this.#set(messageId, this.#count(messageId) + 1, bytes);
    else if (kind === "acknowledge" || kind === "lose-acknowledge") {
      this.#set(messageId, 0, bytes); // whoever was told so has it no more
      this.#unsure.delete(messageId);
      this.#begun.delete(messageId);
    } else if (kind !== "publish" && kind !== "dead-letter") this.#release(messageId, bytes);
  }

  #release(messageId: string, bytes: number): void {
    const unsure = this.#unsure.get(messageId);
    if (unsure === undefined) this.#set(messageId, Math.max(0, this.#count(messageId) - 1), bytes);
    else if (unsure.count === 1) this.#unsure.delete(messageId);
    else this.#unsure.set(messageId, { bytes, count: unsure.count - 1 });
  }

  #count(messageId: string): number {
    return this.#held.get(messageId)?.count ?? 0;
  }

  #set(messageId: string, count: number, bytes: number): void {
    const more = count - this.#count(messageId);
    this.messages += more;
    this.bytes += more * bytes;
    if (count === 0) this.#held.delete(messageId);
    else this.#held.set(messageId, { count, bytes });
  }

  #clear(): void {
    this.#forgetLeases();
    this.#holders = 0;
  }

  #forgetLeases(): void {
    this.#held.clear();
    this.#unsure.clear();
    this.#begun.clear();
    this.messages = 0;
    this.bytes = 0;
  }
}
