import type { Consumer, Entry } from "./consumer.js";
import { Fifo } from "./fifo.js";

/**
 * The messages of one ordering key that are handed out or wait. All that are handed out are with one consumer; when one comes
 * back, all after it come back too. Source: https://cloud.google.com/pubsub/docs/ordering
 */
export interface Lane {
  readonly key: string;
  owner: Consumer | undefined;
  /** Handed out, in order; acknowledged ones stay while an earlier one is not. */
  outstanding: Entry[];
  /** To be handed out again, in order, before what waits. */
  readonly returned: Fifo<Entry>;
  /** Positions of messages never handed out. */
  readonly waiting: Fifo<number>;
  /** A retry policy's back-off lasts. */
  paused: boolean;
}

export class Lanes {
  readonly #lanes = new Map<string, Lane>();
  /** Those with something to hand out. */
  readonly #filled = new Set<Lane>();

  get(key: string): Lane | undefined {
    return this.#lanes.get(key);
  }

  open(key: string): Lane {
    const lane = {
      key,
      owner: undefined,
      outstanding: [],
      returned: new Fifo<Entry>(),
      waiting: new Fifo<number>(),
      paused: false,
    };
    this.#lanes.set(key, lane);
    return lane;
  }

  /** Lets a message that was never handed out wait behind the others of its key. */
  park(lane: Lane, position: number): void {
    lane.waiting.push(position);
    this.#filled.add(lane);
  }

  /** Puts what came back before everything that waits. */
  giveBack(lane: Lane, entries: readonly Entry[]): void {
    lane.returned.unshift(entries);
    if (entries.length > 0) this.#filled.add(lane);
  }

  /** Lanes with something to hand out now. */
  *ready(): IterableIterator<Lane> {
    for (const lane of this.#filled) {
      if (lane.returned.length + lane.waiting.length === 0) this.#filled.delete(lane);
      else if (!lane.paused) yield lane;
    }
  }

  /** Forgets a lane that has nothing left. */
  closeIfEmpty(lane: Lane): void {
    if (lane.outstanding.length + lane.returned.length + lane.waiting.length > 0) return;
    this.#lanes.delete(lane.key);
    this.#filled.delete(lane);
  }

  /** Takes out one message that is settled for good, whatever becomes of those before it. */
  settle(lane: Lane, entry: Entry): void {
    const at = lane.outstanding.indexOf(entry);
    if (at >= 0) lane.outstanding.splice(at, 1);
  }

  /** Takes the acknowledged messages from the front, before any that is not. */
  takeSettled(lane: Lane): Entry[] {
    const at = lane.outstanding.findIndex((entry) => !entry.acknowledged);
    return lane.outstanding.splice(0, at < 0 ? lane.outstanding.length : at);
  }

  /** Takes an entry and all handed out after it, in order. */
  takeFrom(lane: Lane, entry: Entry): Entry[] {
    const at = lane.outstanding.indexOf(entry);
    return at < 0 ? [] : lane.outstanding.splice(at);
  }

  /** Positions of what was never handed out. */
  *waiting(): IterableIterator<number> {
    for (const lane of this.#filled) yield* lane.waiting;
  }

  clear(): void {
    this.#lanes.clear();
    this.#filled.clear();
  }
}
