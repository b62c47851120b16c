import { seededRandom } from "./random.js";

/** Whether the full counts are run. */
export const soak = process.env["KLIO_SOAK"] !== undefined;

/** A seed, taken from KLIO_SEED when that is set; it is printed. */
export function printedSeed(): number {
  const seed = Number(process.env["KLIO_SEED"] ?? Math.floor(Math.random() * 1e9));
  console.log(`seed ${seed}`);
  return seed;
}

/** Random numbers from 0 to 1, by a seed that is printed. */
export function printedRandom(): () => number {
  return seededRandom(printedSeed());
}

/** In an order that `random` decides. */
export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => [random(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item);
}
