/** What tells the time and wakes up; tests of jobs bring one that they move by hand. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls back after so many milliseconds, unless something else comes before. Returns what calls it off. */
  after(ms: number, wake: () => void): () => void;
  /** Like `after`, where nothing else is waited for: a clock that is moved by hand jumps over it. */
  delay(ms: number, wake: () => void): () => void;
}

/** What Node's timers can wait for; one that is set for longer fires at once. */
const longestTimerMs = 2 ** 31 - 1;

function wakeLater(ms: number, wake: () => void): () => void {
  let left = ms;
  const set = () => {
    const part = Math.min(left, longestTimerMs);
    left -= part;
    return setTimeout(left > 0 ? goOn : wake, part);
  };
  const goOn = () => {
    timer = set();
  };
  let timer = set();
  return () => {
    clearTimeout(timer);
  };
}

export const realClock: Clock = { now: () => Date.now(), after: wakeLater, delay: wakeLater };

/** Resolves after so many milliseconds, or when the signal aborts. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve();
      return;
    }
    const end = () => {
      callOff();
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const callOff = clock.delay(ms, end);
    signal?.addEventListener("abort", end, { once: true });
  });
}
