const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** Milliseconds, or text as klio-job.yaml has it: `"500ms"`, `"30s"`, `"2m"`, `"1h"`. */
export type Duration = number | `${number}${keyof typeof units}`;

/** Milliseconds, a whole number. Throws a TypeError, which says `what` is wrong. */
export function milliseconds(duration: Duration, what: string): number {
  if (typeof duration === "number") {
    if (Number.isSafeInteger(duration) && duration >= 0) return duration;
    throw new TypeError(`${what} is a whole number of milliseconds, not ${duration}`);
  }
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(duration);
  const unit = units[match?.[2] as keyof typeof units];
  if (match === null)
    throw new TypeError(`${what} is like "500ms", "30s", "2m" or "1h", not ${JSON.stringify(duration)}`);
  return Math.round(Number(match[1]) * unit);
}
