/** Steps of about 10 ms on a processor of 2024. */
const steps = 8_000_000;

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
