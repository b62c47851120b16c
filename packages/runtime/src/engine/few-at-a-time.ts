/** How many begin together. */
const together = 32;

/**
 * Begins something for each item, all of them before the event loop turns. A few go as far as they get before the next begin: what
 * they need on their way is garbage then already, and the engine's collector copies only what is alive.
 */
export function fewAtATime<T>(items: readonly T[], begin: (item: T) => void, from = 0): void {
  const end = Math.min(items.length, from + together);
  for (const item of items.slice(from, end)) begin(item);
  // A tick that a microtask asks for comes when no microtask is left.
  if (end < items.length) {
    queueMicrotask(() => {
      process.nextTick(fewAtATime<T>, items, begin, end);
    });
  }
}
