import type { Diagnostic } from "./diagnostic.js";
import type { EffectiveConfig } from "./effective.js";
import { resolve } from "./resolve.js";
import { override } from "./overrides.js";
import { checkRules } from "./rules.js";
import { YamlSource } from "./source.js";
import { knownJobConfigKeys, knownPipelineOptions, validate, warnOfNearMisses } from "./validate.js";
import type { Written } from "./written.js";

export interface LoadOptions {
  /** The file's name for messages. */
  readonly file: string;
  readonly text: string;
  /** Values of `$name` in the file (`--template`). */
  readonly templates?: ReadonlyMap<string, string>;
  /** Dotted path → value (`--override`), applied in order. */
  readonly overrides?: readonly (readonly [string, string])[];
}

export interface LoadResult {
  /** Absent when there are errors. */
  readonly config?: EffectiveConfig;
  /** Errors first, then by place. */
  readonly diagnostics: readonly Diagnostic[];
}

/** Reads a klio-job.yaml. Never throws for what is in the file: all its problems come back as diagnostics. */
export function loadConfig(options: LoadOptions): LoadResult {
  const source = new YamlSource(options.file, options.text);
  if (source.failed) return { diagnostics: sorted(source.diagnostics) };
  source.substitute(options.templates ?? new Map());
  const raw = withoutNulls(source.toJS());
  const config = (typeof raw === "object" && raw !== null && !Array.isArray(raw) ? raw : {}) as Record<string, unknown>;
  for (const [path, value] of options.overrides ?? []) override(config, path, value, source.report);
  renameAliases(config);
  validate(config, source.report);
  warnOfNearMisses("job_config", config["job_config"], knownJobConfigKeys, source.report);
  warnOfNearMisses("pipeline_options", config["pipeline_options"], knownPipelineOptions, source.report);
  checkRules(config, source.report);
  const diagnostics = sorted(source.diagnostics);
  if (diagnostics.some((d) => d.severity === "error")) return { diagnostics };
  return { config: resolve(config as Partial<Written> as Written), diagnostics };
}

function sorted(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  const rank = (d: Diagnostic) => (d.severity === "error" ? 0 : 1);
  const place = (d: Diagnostic) => (d.line ?? 0) * 100_000 + (d.column ?? 0);
  return [...diagnostics].sort((a, b) => rank(a) - rank(b) || place(a) - place(b));
}

/** A key without a value counts as absent, as in Klio. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, v]) => v !== null && v !== undefined)
      .map(([k, v]) => [k, withoutNulls(v)]),
  );
}

/** Other names that Klio has for a location. */
const locationAliases = { data: "data_location", inputs: "file_pattern", outputs: "file_path_prefix" } as const;

/** Renames Klio's aliases, and takes types in any case. */
function renameAliases(config: Record<string, unknown>): void {
  const jobConfig = config["job_config"] as Written["job_config"];
  const entries = (list: unknown) =>
    (Array.isArray(list) ? list : []).filter((e) => typeof e === "object" && e !== null) as Record<string, unknown>[];
  const rename = (entry: Record<string, unknown>, alias: string) => {
    if (entry["location"] !== undefined || entry[alias] === undefined) return;
    entry["location"] = entry[alias];
    Reflect.deleteProperty(entry, alias);
  };
  for (const direction of ["inputs", "outputs"] as const) {
    const data = entries(jobConfig?.data?.[direction]);
    const events = entries(jobConfig?.events?.[direction]);
    for (const entry of [...data, ...events]) {
      if (typeof entry["type"] === "string") entry["type"] = entry["type"].toLowerCase();
    }
    for (const entry of data) rename(entry, locationAliases.data);
    for (const entry of events) if (entry["type"] === "file") rename(entry, locationAliases[direction]);
  }
}
