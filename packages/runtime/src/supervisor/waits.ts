import type { Clock } from "../clock.js";

/** Resolves with `work`, but no later than `time` (milliseconds since the epoch), and not after `signal` has aborted. */
export async function until(clock: Clock, time: number, work: Promise<unknown>, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return;
  await new Promise<void>((resolve) => {
    const end = () => {
      callOff();
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const callOff = clock.after(Math.max(0, time - clock.now()), end);
    signal?.addEventListener("abort", end);
    void work.finally(end);
  });
}
