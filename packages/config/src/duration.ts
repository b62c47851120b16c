const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** The longest there is: the protocol between supervisor and worker has 32 bits for milliseconds. */
export const longestDuration = { text: "1000h", ms: 3_600_000_000 } as const;

/** Milliseconds of "500ms", "30s", "2m", "1h"; undefined when the text is not of that form. */
export function parseDuration(text: string): number | undefined {
  const match = /^([1-9]\d*)(ms|s|m|h)$/.exec(text);
  const unit = units[match?.[2] ?? ""];
  return match === null || unit === undefined ? undefined : Number(match[1]) * unit;
}
