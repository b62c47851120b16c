/**
 * A promise that knows whether anybody asked how it ended. Then its error is theirs, whatever they make of it; that is also when a
 * rejection counts as handled.
 */
export class ObservedPromise<T> extends Promise<T> {
  #observed = false;

  static of<T>(work: Promise<T>): ObservedPromise<T> {
    const promise = new ObservedPromise<T>((resolve, reject) => {
      work.then(resolve, reject);
    });
    promise.#guard();
    return promise;
  }

  /** What is made of it by `then` and the like is a promise as any other. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  // `await` and Promise.all come here as well, as for every promise that is not quite a Promise.
  override then<A = T, B = never>(
    fulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#observed = true;
    return super.then(fulfilled, rejected);
  }

  /** Resolves when it is over. Throws its error when nobody has asked for it. */
  async settle(): Promise<void> {
    await super.then(undefined, (error: unknown) => {
      if (!this.#observed) throw error;
    });
  }

  /** Nobody asking is no reason to end the worker. */
  #guard(): void {
    super.then(undefined, () => undefined);
  }
}
