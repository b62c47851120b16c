import { setTimeout as sleep } from "node:timers/promises";
import { StorageError } from "../storage-error.js";
import type { GcsLimits } from "./limits.js";

/** Counts the tries of one thing that may fail for a while. */
export class Tries {
  #failed = 0;
  #gained = 0;

  constructor(
    readonly limits: GcsLimits,
    readonly signal: AbortSignal,
  ) {}

  /** Bytes that came: after enough of them the count begins anew. */
  progress(bytes: number): void {
    this.#gained += bytes;
    if (this.#gained >= this.limits.progressBytes) this.#failed = 0;
  }

  /** Waits before the next try. Throws the error when there is none left or none would help, and the reason of an abort. */
  async again(error: unknown): Promise<void> {
    this.signal.throwIfAborted();
    this.#failed += 1;
    this.#gained = 0;
    const hopeless = !(error instanceof StorageError) || !error.retryable;
    if (hopeless || this.#failed >= this.limits.tries) throw error;
    const { firstDelayMs, maxDelayMs } = this.limits;
    const delay = Math.min(maxDelayMs, firstDelayMs * 2 ** (this.#failed - 1));
    // Spread, so that those that failed together do not come back together.
    await sleep(delay * (0.5 + Math.random() / 2), undefined, { signal: this.signal }).catch(() => undefined);
    this.signal.throwIfAborted();
  }
}

/** Does `work` until it succeeds, or fails in a way, or as often, that another try is no use. */
export async function retrying<T>(limits: GcsLimits, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const tries = new Tries(limits, signal);
  for (;;) {
    try {
      return await work();
    } catch (error) {
      await tries.again(error);
    }
  }
}
