import type { CallSpan } from "./tracing.js";
import { CallTimeout, type Turns } from "./turns.js";

/** A generator of user code. Each of its steps is a turn of its node, and lies in the span of the call. */
export class Generated {
  readonly #iterator: AsyncIterator<unknown>;

  constructor(
    made: AsyncIterable<unknown>,
    readonly turns: Turns,
    readonly span: CallSpan,
  ) {
    this.#iterator = made[Symbol.asyncIterator]();
  }

  /** Its next output. Throws what its code throws, a {@link CallTimeout}, or why the attempt was called off; then it is closed. */
  async next(): Promise<IteratorResult<unknown>> {
    try {
      const step = await this.turns.run(() => this.span.run(() => this.#step()));
      if (step.done === true) this.span.end();
      return step;
    } catch (error) {
      const closed = this.close();
      // What was given up may never come so far.
      if (!(error instanceof CallTimeout && error.abandoned)) await closed;
      this.span.fail(error);
      throw error;
    }
  }

  /** Runs its `finally`, if it waits at an output. What that throws comes too late to be of use. */
  async close(): Promise<void> {
    try {
      await this.span.run(() => this.#iterator.return?.());
    } catch {
      return;
    }
  }

  async #step(): Promise<IteratorResult<unknown>> {
    const step = await this.#iterator.next();
    // Its output comes too late; its end still is part of the call, which may not take for ever.
    if (this.turns.ownSignal?.aborted === true) await this.close();
    return step;
  }
}

export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}
