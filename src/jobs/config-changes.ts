import type { EffectiveConfig } from "@klio/config";

/** A key whose value is another than before. */
export interface ConfigChange {
  /** As the user writes it, e.g. `job_config.greeting`. */
  readonly key: string;
  /** Undefined: it was not there. */
  readonly before: unknown;
  /** Undefined: it is not there any more. */
  readonly after: unknown;
  /** `reload`: workers take it over with the next message. `restart`: the job stops and starts again. */
  readonly effect: "reload" | "restart";
}

/** What is different between two effective configurations, key by key. */
export function configChanges(before: EffectiveConfig, after: EffectiveConfig): ConfigChange[] {
  const [old, now] = [flatten(before), flatten(after)];
  return [...new Set([...old.keys(), ...now.keys()])].sort().flatMap((path): ConfigChange[] => {
    if (JSON.stringify(old.get(path)) === JSON.stringify(now.get(path))) return [];
    // What was empty and has keys now, or the other way round, is told of key by key.
    const others = old.has(path) ? now : old;
    if (old.has(path) !== now.has(path) && [...others.keys()].some((key) => key.startsWith(`${path}.`))) return [];
    const key = path.replace(/^job_config\.user\./, "job_config.");
    return [{ key, before: old.get(path), after: now.get(path), effect: effectOf(path) }];
  });
}

/** Only what workers alone look at can change under a running job; ping is looked at before. */
function effectOf(path: string): ConfigChange["effect"] {
  const ofData = path.startsWith("job_config.data.") && !path.endsWith(".ping");
  return ofData || path.startsWith("job_config.user.") ? "reload" : "restart";
}

function flatten(value: unknown, path = ""): Map<string, unknown> {
  const empty = typeof value !== "object" || value === null || Object.keys(value).length === 0;
  if (empty) return new Map([[path, value]]);
  const join = (key: string) => (path === "" ? key : `${path}.${key}`);
  return new Map(Object.entries(value).flatMap(([key, v]) => [...flatten(v, join(key))]));
}
