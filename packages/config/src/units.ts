const binary: Readonly<Record<string, number>> = { Ki: 1, Mi: 2, Gi: 3, Ti: 4 };
const decimal: Readonly<Record<string, number>> = { k: 1, M: 2, G: 3, T: 4 };

/**
 * Bytes of "512Mi", "2Gi", "1500M", "4096"; undefined when the text is not of that form.
 * https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
 */
export function parseQuantity(text: string): number | undefined {
  const match = /^([1-9]\d{0,14})(Ki|Mi|Gi|Ti|k|M|G|T)?$/.exec(text);
  if (match === null) return undefined;
  const unit = match[2] ?? "";
  return Number(match[1]) * (unit in binary ? 1_024 ** (binary[unit] ?? 0) : 1_000 ** (decimal[unit] ?? 0));
}

const nanoseconds = {
  ns: 1,
  nanoseconds: 1,
  us: 1e3,
  microseconds: 1e3,
  ms: 1e6,
  milliseconds: 1e6,
  s: 1e9,
  seconds: 1e9,
} as const;

/** Klio's names of units. */
export type TimerUnit = keyof typeof nanoseconds;

/** Nanoseconds in a unit. */
export function timerUnit(unit: TimerUnit): number {
  return nanoseconds[unit];
}
