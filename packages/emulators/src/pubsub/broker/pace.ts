import type { Consumer } from "./consumer.js";

// The room that a consumer makes by its first acknowledgement of more than `bulk` messages is filled a little later: many take
// one lot and leave, and what they got meanwhile would be lost to others until its deadline. Who stays is not kept waiting again.
const bulk = 100;
const restMs = 50;

/** When a subscription hands out messages again. */
export class Pace {
  #soon: NodeJS.Immediate | undefined;
  #rest: NodeJS.Timeout | undefined;
  readonly #stayed = new WeakSet<Consumer>();

  constructor(readonly dispatch: () => void) {}

  /** Nothing is to be handed out until the rest is over. */
  get resting(): boolean {
    return this.#rest !== undefined;
  }

  /** Room was made for this many messages, by these consumers. */
  madeRoom(messages: number, consumers: ReadonlySet<Consumer>): void {
    const fresh = messages > bulk ? [...consumers].filter((consumer) => !this.#stayed.has(consumer)) : [];
    for (const consumer of fresh) this.#stayed.add(consumer);
    if (fresh.length === 0) {
      this.dispatch();
      return;
    }
    this.#rest ??= setTimeout(() => {
      this.#rest = undefined;
      this.dispatch();
    }, restMs).unref();
  }

  /** Goes on once others have had their turn. */
  goOnSoon(): void {
    this.#soon ??= setImmediate(() => {
      this.#soon = undefined;
      this.dispatch();
    });
  }

  clear(): void {
    clearImmediate(this.#soon);
    clearTimeout(this.#rest);
    this.#soon = undefined;
    this.#rest = undefined;
  }
}
