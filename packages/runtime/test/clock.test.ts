import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { realClock, sleep } from "../src/clock.js";

const hours = 3_600_000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("the clock of a job", () => {
  it.each(["after", "delay"] as const)("%s waits for longer than Node's timers can", (how) => {
    let woken = 0;
    realClock[how](1_500 * hours, () => {
      woken += 1;
    });
    vi.advanceTimersByTime(1_500 * hours - 1);
    expect(woken).toBe(0);
    vi.advanceTimersByTime(1);
    expect(woken).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("is called off at any time", () => {
    const callOff = realClock.after(1_500 * hours, () => {
      throw new Error("woken");
    });
    vi.advanceTimersByTime(1_000 * hours);
    callOff();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("sleeps no longer than until the signal aborts", async () => {
    const stop = new AbortController();
    const slept = sleep(realClock, 1_000 * hours, stop.signal);
    stop.abort();
    await slept;
    expect(vi.getTimerCount()).toBe(0);
  });
});
