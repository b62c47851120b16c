/** Steps of about 100 ms on a processor of 2024: a transform of less spends its time with messages, not with the processor. */
const steps = 80_000_000;

/** Keeps a processor busy with a fixed amount of work; returns what came out of it. */
export function burn(seed: number): number {
  let x = seed | 1;
  for (let i = 0; i < steps; i += 1) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
  }
  return x;
}
