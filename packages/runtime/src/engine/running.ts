/** Work that is on its way. Of what it gives nothing is kept: that may be large. */
export class Running {
  readonly #ends = new Set<Promise<void>>();

  /** Whoever holds the promise is told of its error; that nobody does is no reason to end the worker. */
  add(work: Promise<unknown>): void {
    const forget = () => {
      this.#ends.delete(end);
    };
    const end: Promise<void> = work.then(forget, forget);
    this.#ends.add(end);
  }

  /** Resolves when all that is on its way now has ended, however it did. */
  async ended(): Promise<void> {
    await Promise.all(this.#ends);
  }
}
