import type { Path, Report } from "./source.js";
import { retype } from "./source.js";

type Json = Record<string, unknown>;

/**
 * Sets `path=value` in a configuration. Entries of events and data are addressed by position, by name, or by Klio's
 * `<type><n>` where n counts the entries of that type: `job_config.events.inputs.pubsub0.topic`.
 */
export function override(config: Json, path: string, value: string, report: Report): void {
  let at: unknown = config;
  const walked: (string | number)[] = [];
  const steps = path.split(".");
  if (steps.includes("__proto__")) {
    fail(path, "__proto__", walked, report);
    return;
  }
  const last = steps.pop() ?? "";
  for (const step of steps) {
    const key = Array.isArray(at) ? positionOf(at, step) : step;
    if (key === undefined || typeof at !== "object" || at === null) {
      fail(path, step, walked, report);
      return;
    }
    const container = at as Json;
    container[key] ??= {};
    at = container[key];
    walked.push(key);
  }
  const key = Array.isArray(at) ? positionOf(at, last) : last;
  if (key === undefined || typeof at !== "object" || at === null) {
    fail(path, last, walked, report);
    return;
  }
  (at as Json)[key] = retype(value);
}

function fail(path: string, step: string, walked: Path, report: Report): void {
  report({
    code: "CONFIG_OVERRIDE",
    message: `--override ${path}: there is no "${step}" in ${walked.join(".") || "the configuration"}`,
    path: walked,
  });
}

function positionOf(entries: readonly unknown[], step: string): number | undefined {
  if (/^\d+$/.test(step)) return Number(step) < entries.length ? Number(step) : undefined;
  const names = entryNames(entries);
  const at = names.indexOf(step);
  return at < 0 ? undefined : at;
}

/** The name of each entry: its own, else type and count. */
export function entryNames(entries: readonly unknown[]): string[] {
  const counts = new Map<string, number>();
  return entries.map((entry) => {
    const { type, name } = (entry ?? {}) as { type?: unknown; name?: unknown };
    const kind = String(type);
    const count = counts.get(kind) ?? 0;
    counts.set(kind, count + 1);
    return typeof name === "string" ? name : `${kind}${count}`;
  });
}
