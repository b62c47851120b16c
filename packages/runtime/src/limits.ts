import type { LimitClient } from "./engine/engine.js";

interface Limit {
  size: number;
  taken: number;
  readonly waiting: (() => void)[];
}

/** Limits by name, each with a number of places; who comes first gets the next one. */
export class Limits implements LimitClient {
  readonly #limits = new Map<string, Limit>();

  constructor(readonly configured: Readonly<Record<string, number>>) {}

  acquire(name: string, size: number, signal: AbortSignal): Promise<() => void> {
    const limit = this.#find(name, size);
    return new Promise((resolve, reject) => {
      const enter = () => {
        signal.removeEventListener("abort", leave);
        limit.taken += 1;
        let released = false;
        resolve(() => {
          if (released) return;
          released = true;
          limit.taken -= 1;
          letIn(limit);
        });
      };
      const leave = () => {
        const at = limit.waiting.indexOf(enter);
        if (at >= 0) limit.waiting.splice(at, 1);
        reject(signal.reason as Error);
      };
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      if (limit.taken < limit.size) {
        enter();
        return;
      }
      limit.waiting.push(enter);
      signal.addEventListener("abort", leave, { once: true });
    });
  }

  /** The number that was said last counts: code that is replaced while the job runs may say another. */
  #find(name: string, size: number): Limit {
    const known = this.#limits.get(name);
    if (known === undefined) {
      // A name that is not configured is refused before the job runs; one place is the safe answer to a broken worker.
      const made: Limit = { size: size > 0 ? size : (this.configured[name] ?? 1), taken: 0, waiting: [] };
      this.#limits.set(name, made);
      return made;
    }
    if (size > 0) known.size = size;
    letIn(known);
    return known;
  }
}

function letIn(limit: Limit): void {
  while (limit.taken < limit.size && limit.waiting.length > 0) limit.waiting.shift()?.();
}
