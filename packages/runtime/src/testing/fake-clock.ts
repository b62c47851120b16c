import { type Duration, milliseconds } from "../api/duration.js";
import type { Clock } from "../clock.js";

interface Alarm {
  readonly at: number;
  readonly wake: () => void;
}

/**
 * A clock that stands still until it is moved. Over pure delays, such as the wait before another attempt, it jumps by itself, but
 * passes no time limit while a call is at work: that takes real time, and would be over before it had any.
 */
export class FakeClock implements Clock {
  readonly #alarms = new Set<Alarm>();
  readonly #delays = new Set<Alarm>();
  #now: number;
  #jumping = false;
  /** Attempts in hand that wait for their next try. */
  #idle = 0;

  /** `inHand`: how many attempts have begun and not ended. */
  constructor(
    start: number,
    readonly inHand: () => number,
  ) {
    this.#now = start;
  }

  /** The same clock for attempts in hand: one that waits here is not at work. */
  readonly ofAttempts: Clock = {
    now: () => this.#now,
    after: (ms, wake) => this.after(ms, wake),
    delay: (ms, wake) => {
      this.#idle += 1;
      const end = once(() => (this.#idle -= 1));
      const callOff = this.delay(ms, () => {
        end();
        wake();
      });
      return () => {
        end();
        callOff();
      };
    },
  };

  now(): number {
    return this.#now;
  }

  after(ms: number, wake: () => void): () => void {
    const callOff = set(this.#alarms, { at: this.#now + ms, wake });
    return () => {
      callOff();
      this.resume();
    };
  }

  delay(ms: number, wake: () => void): () => void {
    this.resume();
    return set(this.#delays, { at: this.#now + ms, wake });
  }

  /** Moves the clock, and wakes whoever waits for a time that is over then. */
  async advance(by: Duration): Promise<void> {
    const end = this.#now + milliseconds(by, "advance");
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      const next = this.#earliest();
      if (next === undefined || next.at > end) break;
      this.#wake(next);
    }
    this.#now = Math.max(this.#now, end);
    this.resume();
  }

  /** Jumps over the next delay, if it may now. */
  resume(): void {
    if (this.#jumping) return;
    this.#jumping = true;
    setImmediate(() => {
      this.#jumping = false;
      const next = this.#earliest();
      if (next === undefined || this.#delays.size === 0) return;
      if (this.#alarms.has(next) && this.inHand() > this.#idle) return;
      this.#wake(next);
      this.resume();
    });
  }

  #earliest(): Alarm | undefined {
    const alarms = [...this.#alarms, ...this.#delays];
    return alarms.reduce<Alarm | undefined>((a, b) => (a === undefined || b.at < a.at ? b : a), undefined);
  }

  #wake(alarm: Alarm): void {
    this.#now = Math.max(this.#now, alarm.at);
    this.#alarms.delete(alarm);
    this.#delays.delete(alarm);
    alarm.wake();
  }
}

function set(alarms: Set<Alarm>, alarm: Alarm): () => void {
  alarms.add(alarm);
  return () => alarms.delete(alarm);
}

function once(act: () => void): () => void {
  let done = false;
  return () => {
    if (!done) act();
    done = true;
  };
}
