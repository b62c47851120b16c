const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** As in klio-job.yaml: the protocol between supervisor and worker has 32 bits for milliseconds. */
const longestHours = 1_000;

/** Milliseconds, or text as klio-job.yaml has it: `"500ms"`, `"30s"`, `"2m"`, `"1h"`. At most 1000 hours. */
export type Duration = number | `${number}${keyof typeof units}`;

/** Milliseconds, a whole number. Throws a TypeError, which says `what` is wrong. */
export function milliseconds(duration: Duration, what: string): number {
  const ms = typeof duration === "number" ? whole(duration, what) : parsed(duration, what);
  if (ms <= longestHours * units.h) return ms;
  throw new TypeError(`${what} is at most ${longestHours}h, not ${ms} ms`);
}

function whole(ms: number, what: string): number {
  if (Number.isSafeInteger(ms) && ms >= 0) return ms;
  throw new TypeError(`${what} is a whole number of milliseconds, not ${ms}`);
}

function parsed(text: string, what: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  const unit = units[match?.[2] as keyof typeof units];
  if (match === null) throw new TypeError(`${what} is like "500ms", "30s", "2m" or "1h", not ${JSON.stringify(text)}`);
  return Math.round(Number(match[1]) * unit);
}
