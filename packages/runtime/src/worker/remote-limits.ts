import type { LimitClient } from "../engine/engine.js";

/** A worker's side of limits that its supervisor keeps. */
export class RemoteLimits implements LimitClient {
  readonly #waiting = new Map<number, () => void>();
  #lastTicket = 0;

  constructor(
    readonly ask: (ticket: number, limit: string, size: number) => void,
    readonly giveBack: (ticket: number) => void,
  ) {}

  acquire(limit: string, size: number, signal: AbortSignal): Promise<() => void> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    this.#lastTicket += 1;
    const ticket = this.#lastTicket;
    const release = () => {
      this.giveBack(ticket);
    };
    return new Promise((resolve, reject) => {
      const stop = () => {
        this.#waiting.delete(ticket);
        release();
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", stop, { once: true });
      this.#waiting.set(ticket, () => {
        signal.removeEventListener("abort", stop);
        resolve(release);
      });
      this.ask(ticket, limit, size);
    });
  }

  granted(ticket: number): void {
    const enter = this.#waiting.get(ticket);
    this.#waiting.delete(ticket);
    enter?.();
  }
}
