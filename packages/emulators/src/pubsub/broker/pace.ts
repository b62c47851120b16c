// Room that was made for more than `bulk` messages at once is filled a little later: who acknowledges much at once is often
// about to leave, and what it gets now would be lost to others until its deadline.
const bulk = 100;
const restMs = 50;

/** When a subscription hands out messages again. */
export class Pace {
  #soon: NodeJS.Immediate | undefined;
  #rest: NodeJS.Timeout | undefined;

  constructor(readonly dispatch: () => void) {}

  /** Nothing is to be handed out until the rest is over. */
  get resting(): boolean {
    return this.#rest !== undefined;
  }

  /** Room was made for this many messages. */
  madeRoom(messages: number): void {
    if (messages <= bulk) {
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
