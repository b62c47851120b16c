import type { Work } from "./work.js";

interface Waiting {
  readonly work: Work;
  readonly pass: () => void;
}

interface Lane {
  holder: Work;
  readonly waiting: Waiting[];
}

/** Lets one message of each ordering key through at a time, in the order of receipt. */
export class Lanes {
  readonly #lanes = new Map<string, Lane>();

  /** `pass` is called when it is the message's turn. */
  enter(work: Work, pass: () => void): void {
    const key = work.delivery.orderingKey;
    const lane = key === "" ? undefined : this.#lanes.get(key);
    if (lane !== undefined) {
      lane.waiting.push({ work, pass });
      return;
    }
    if (key !== "") this.#lanes.set(key, { holder: work, waiting: [] });
    pass();
  }

  /** The message is finished with: if it held its lane, the next may pass. */
  leave(work: Work): void {
    const key = work.delivery.orderingKey;
    const lane = this.#lanes.get(key);
    if (lane?.holder !== work) return;
    const next = lane.waiting.shift();
    if (next === undefined) {
      this.#lanes.delete(key);
      return;
    }
    lane.holder = next.work;
    next.pass();
  }

  /** The holder's lane is given up: takes out what waits behind it, so that order survives a later delivery. */
  abandon(work: Work): Work[] {
    const key = work.delivery.orderingKey;
    const lane = this.#lanes.get(key);
    if (lane === undefined) return [];
    if (lane.holder === work) {
      this.#lanes.delete(key);
      return worksOf(lane.waiting);
    }
    const at = lane.waiting.findIndex((each) => each.work === work);
    return at < 0 ? [] : worksOf(lane.waiting.splice(at).slice(1));
  }

  /** Takes out everything that waits. */
  clear(): Work[] {
    const waiting = [...this.#lanes.values()].flatMap((l) => worksOf(l.waiting));
    this.#lanes.clear();
    return waiting;
  }
}

function worksOf(waiting: readonly Waiting[]): Work[] {
  return waiting.map(({ work }) => work);
}
