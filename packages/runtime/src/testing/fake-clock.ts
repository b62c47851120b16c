import { type Duration, milliseconds } from "../api/duration.js";
import type { Clock } from "../clock.js";

interface Alarm {
  readonly at: number;
  readonly wake: () => void;
}

/** A clock that stands still until it is moved. Over pure delays, such as the wait before another attempt, it jumps by itself. */
export class FakeClock implements Clock {
  readonly #alarms = new Set<Alarm>();
  readonly #delays = new Set<Alarm>();
  #now: number;
  #jumping = false;

  constructor(start: number) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, wake: () => void): () => void {
    return set(this.#alarms, { at: this.#now + ms, wake });
  }

  delay(ms: number, wake: () => void): () => void {
    this.#jumpSoon();
    return set(this.#delays, { at: this.#now + ms, wake });
  }

  /** Moves the clock, and wakes whoever waits for a time that is over then. */
  async advance(by: Duration): Promise<void> {
    await this.#to(this.#now + milliseconds(by, "advance"));
  }

  async #to(end: number): Promise<void> {
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      const next = earliest([...this.#alarms, ...this.#delays]);
      if (next === undefined || next.at > end) break;
      this.#now = Math.max(this.#now, next.at);
      this.#alarms.delete(next);
      this.#delays.delete(next);
      next.wake();
    }
    this.#now = Math.max(this.#now, end);
  }

  #jumpSoon(): void {
    if (this.#jumping) return;
    this.#jumping = true;
    setImmediate(() => {
      this.#jumping = false;
      const next = earliest([...this.#delays]);
      if (next === undefined) return;
      void this.#to(next.at).then(() => {
        if (this.#delays.size > 0) this.#jumpSoon();
      });
    });
  }
}

function set(alarms: Set<Alarm>, alarm: Alarm): () => void {
  alarms.add(alarm);
  return () => alarms.delete(alarm);
}

function earliest(alarms: readonly Alarm[]): Alarm | undefined {
  return alarms.reduce<Alarm | undefined>((a, b) => (a === undefined || b.at < a.at ? b : a), undefined);
}
