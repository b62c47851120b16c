/**
 * Calls off an attempt. The signal is made when somebody asks for it: few attempts need one, and it is dear, compared to what a
 * small message takes.
 */
export class Cancellation {
  #controller: AbortController | undefined;
  #reason: Error | undefined;
  #whenGivenUp: Set<() => void> | undefined;

  /** Undefined while nothing called it off. */
  get reason(): Error | undefined {
    return this.#reason;
  }

  /** The first reason counts. */
  abort(reason: Error): void {
    this.#reason ??= reason;
    this.#controller?.abort(this.#reason);
  }

  throwIfAborted(): void {
    if (this.#reason !== undefined) throw this.#reason;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** It goes on all the same, and nobody waits for it any more: what others need of it is theirs. */
  giveUp(): void {
    for (const act of this.#whenGivenUp ?? []) act();
  }

  /** Calls `act` when the attempt is given up. Returns what calls that off. */
  whenGivenUp(act: () => void): () => void {
    this.#whenGivenUp ??= new Set();
    this.#whenGivenUp.add(act);
    return () => this.#whenGivenUp?.delete(act);
  }
}
