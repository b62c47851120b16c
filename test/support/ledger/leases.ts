import type { BrokerEntry, Entry } from "./entry.js";
import type { History } from "./history.js";

interface Held {
  readonly count: number;
  readonly bytes: number;
}

/** Something that ends a lease, or shows that its message has arrived. */
interface Sign {
  readonly at: number;
  readonly arrived: boolean;
}

/** What the broker has handed out and not yet got back, by message. Takes the entries of its history, one after the other. */
export class Leases {
  readonly #held = new Map<string, Held>();
  /** By message, in order. */
  readonly #signs: ReadonlyMap<string, readonly Sign[]>;
  readonly #alive = new Set<number>();
  /** Supervisors whose leases may be among those that are held. */
  #holders = 0;
  #at = -1;
  messages = 0;
  bytes = 0;

  constructor(readonly history: Pick<History, "begin" | "sent" | "entries">) {
    this.#signs = signsOf(history);
  }

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
    this.#at += 1;
    if (entry.source === "process" && entry.kind === "start") {
      if (this.#alive.size === 0) this.#clear(); // a supervisor that is gone works on nothing
      this.#alive.add(entry.life);
      this.#holders += 1;
    } else if (entry.source === "process" && entry.kind === "exit") this.#alive.delete(entry.life);
    else if (entry.source === "broker") this.#takeBroker(entry);
    else if (entry.source === "fault" && entry.fault === "resetStream") this.#dropLost();
  }

  /** What was on its way on the stream that broke is lost: nobody begins it, or answers for it, before its lease is over. */
  #dropLost(): void {
    for (const [messageId, { bytes }] of this.#held) {
      const next = this.#signs.get(messageId)?.find(({ at }) => at > this.#at);
      if (next?.arrived !== true) this.#set(messageId, 0, bytes);
    }
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
    } else if (kind !== "publish" && kind !== "dead-letter") {
      this.#set(messageId, Math.max(0, this.#count(messageId) - 1), bytes);
    }
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
    this.messages = 0;
    this.bytes = 0;
  }
}

const endings: readonly string[] = ["deadline", "withdraw"];
const answers: readonly string[] = ["acknowledge", "lose-acknowledge", "give-back"];

function signsOf({ begin, sent, entries }: Pick<History, "begin" | "sent" | "entries">): Map<string, Sign[]> {
  const messagesOf = new Map<string, string[]>();
  for (const { klioId, messageId } of sent.values()) {
    messagesOf.set(klioId, [...(messagesOf.get(klioId) ?? []), messageId]);
  }
  const signs = new Map<string, Sign[]>();
  const note = (messageId: string, sign: Sign) => {
    const known = signs.get(messageId);
    if (known === undefined) signs.set(messageId, [sign]);
    else known.push(sign);
  };
  for (const [at, entry] of entries.entries()) {
    if (entry.source === "worker" && entry.kind === "start") {
      for (const messageId of messagesOf.get(entry.klioId) ?? []) note(messageId, { at, arrived: true });
    } else if (entry.source === "broker" && entry.kind !== "start" && entry.resource === begin.subscription) {
      const arrived = answers.includes(entry.kind);
      if (arrived || endings.includes(entry.kind)) note(entry.messageId, { at, arrived });
    }
  }
  return signs;
}
