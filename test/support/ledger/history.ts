import type { BeginEntry, Entry, SentEntry, StorageEntry } from "./entry.js";

/** A broker's publish with its place in the ledger. */
export interface Published {
  readonly at: number;
  readonly messageId: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface Committed extends StorageEntry {
  readonly at: number;
}

/** One supervisor, from its start to its exit; places in the ledger. */
export interface Life {
  readonly life: number;
  readonly pid: number;
  readonly from: number;
  /** Infinity while it lives. */
  readonly to: number;
}

/** A ledger with the indexes that the rules ask for. */
export interface History {
  readonly entries: readonly Entry[];
  readonly begin: BeginEntry;
  /** By message id. */
  readonly sent: ReadonlyMap<string, SentEntry>;
  /** By `klio-id`; of several with one id the first. */
  readonly sentById: ReadonlyMap<string, SentEntry>;
  /** Places of first acknowledgements, by message id, in order. */
  readonly acknowledged: ReadonlyMap<string, number>;
  /** In order. */
  readonly outputs: readonly Published[];
  readonly deadLetters: readonly Published[];
  /** Written output objects, in order. */
  readonly commits: readonly Committed[];
  /** Input messages in order of publishing, by ordering key. */
  readonly keys: ReadonlyMap<string, readonly string[]>;
  readonly lives: readonly Life[];
}

/** Throws when the ledger does not begin as ledgers do. */
export function historyOf(entries: readonly Entry[]): History {
  const begin = entries.find((e) => e.source === "begin");
  if (begin === undefined) throw new Error("the ledger says nothing of what its run is about");
  const [sent, sentById] = [new Map<string, SentEntry>(), new Map<string, SentEntry>()];
  const acknowledged = new Map<string, number>();
  const [outputs, deadLetters, commits]: [Published[], Published[], Committed[]] = [[], [], []];
  const keys = new Map<string, string[]>();
  for (const [at, entry] of entries.entries()) {
    if (entry.source === "sent") {
      sent.set(entry.messageId, entry);
      if (!sentById.has(entry.klioId)) sentById.set(entry.klioId, entry);
    } else if (entry.source === "storage") {
      if (entry.kind === "commit" && entry.bucket === begin.outputBucket) commits.push({ at, ...entry });
    } else if (entry.source === "broker" && entry.kind !== "start") {
      const { kind, resource, messageId, attributes, orderingKey } = entry;
      if (kind === "acknowledge" && resource === begin.subscription) {
        if (!acknowledged.has(messageId)) acknowledged.set(messageId, at);
      } else if (kind === "publish") {
        const published = { at, messageId, attributes };
        if (resource === begin.outputTopic) outputs.push(published);
        else if (resource === begin.deadLetterTopic) deadLetters.push(published);
        else if (orderingKey !== "") keys.set(orderingKey, [...(keys.get(orderingKey) ?? []), messageId]);
      }
    }
  }
  return { entries, begin, sent, sentById, acknowledged, outputs, deadLetters, commits, keys, lives: livesOf(entries) };
}

/** Places of first publications, by `klio-id`. */
export function firstById(published: readonly Published[]): Map<string, number> {
  const first = new Map<string, number>();
  for (const { at, attributes } of published) {
    const id = attributes["klio-id"] ?? "";
    if (!first.has(id)) first.set(id, at);
  }
  return first;
}

function livesOf(entries: readonly Entry[]): Life[] {
  const lives: Life[] = [];
  for (const [from, entry] of entries.entries()) {
    if (entry.source !== "process" || entry.kind !== "start") continue;
    const { life, pid } = entry;
    const exit = entries.findIndex((e) => e.source === "process" && e.kind === "exit" && e.life === life);
    lives.push({ life, pid, from, to: exit < 0 ? Infinity : exit });
  }
  return lives;
}
