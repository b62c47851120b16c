import { Ajv, type ErrorObject } from "ajv";
import schema from "../../../spec/klio-job.schema.json" with { type: "json" };
import { nearest } from "./nearest.js";
import type { Path, Report } from "./source.js";

// Klio's event and data types that this version does not run yet.
const notYet = ["avro", "bq", "bigquery"];

const validator = new Ajv({ allErrors: true, verbose: true, strict: false }).compile(schema);

/** Reports everything in which the configuration departs from the schema. */
export function validate(config: unknown, report: Report): void {
  if (!validator(config)) reportErrors(validator.errors ?? [], report);
}

/** Reports what a schema found wrong, each problem once. */
export function reportErrors(errors: readonly ErrorObject[], report: Report): void {
  const failedAnyOf = errors.filter((e) => e.keyword === "anyOf").map((e) => e.instancePath);
  for (const error of errors) {
    const insideAnyOf = failedAnyOf.includes(error.instancePath) && error.keyword !== "anyOf";
    if (!insideAnyOf) reportError(error, report);
  }
}

/** Warns of keys that are allowed but look like a mistyped known one. */
export function warnOfNearMisses(section: string, config: unknown, known: readonly string[], report: Report): void {
  for (const key of Object.keys(config ?? {})) {
    const meant = known.includes(key) ? undefined : nearest(key, known);
    if (meant === undefined || key.length < 4) continue;
    const message = `"${key}" is not a key klio knows; did you mean "${meant}"?`;
    report({ severity: "warning", code: "CONFIG_NEAR_MISS", message, path: [section], key });
  }
}

export const knownJobConfigKeys = Object.keys(schema.definitions.job_config.properties);
export const knownPipelineOptions = Object.keys(schema.definitions.pipeline_options.properties);

function reportError(error: ErrorObject, report: Report): void {
  const path: Path = error.instancePath
    .split("/")
    .slice(1)
    .map((s) => (/^\d+$/.test(s) ? Number(s) : s.replaceAll("~1", "/").replaceAll("~0", "~")));
  const name = path.join(".") || "the configuration";
  const params: Record<string, unknown> = error.params;
  if (error.keyword === "additionalProperties") {
    const key = String(params["additionalProperty"]);
    const known = Object.keys((error.parentSchema as { properties?: object }).properties ?? {});
    const meant = nearest(key, known);
    const hint = meant === undefined ? `Known: ${known.join(", ")}.` : `Did you mean "${meant}"?`;
    report({ code: "CONFIG_UNKNOWN_KEY", message: `unknown key "${key}" in ${name}`, hint, path, key });
  } else if (error.keyword === "required") {
    const key = String(params["missingProperty"]);
    report({ code: "CONFIG_MISSING_KEY", message: `${name} needs the key "${key}"`, path });
  } else {
    report({ ...explain(error, name, params), path });
  }
}

function explain(
  error: ErrorObject,
  name: string,
  params: Record<string, unknown>,
): { code: string; message: string; hint?: string } {
  const value = JSON.stringify(error.data);
  const description = (error.parentSchema as { description?: string }).description;
  switch (error.keyword) {
    case "type":
      return {
        code: "CONFIG_TYPE",
        message: `${name} must be ${[params["type"]]
          .flat()
          .map((t) => article(String(t)))
          .join(" or ")}, not ${value}`,
      };
    case "enum": {
      const allowed = params["allowedValues"] as unknown[];
      const klios = typeof error.data === "string" && notYet.includes(error.data.toLowerCase());
      const hint = klios
        ? `"${String(error.data)}" is a type of Klio's that this version does not run yet.`
        : undefined;
      const message = `${name} is one of ${allowed.map((a) => JSON.stringify(a)).join(", ")}, not ${value}`;
      return { code: "CONFIG_VALUE", message, ...(hint === undefined ? {} : { hint }) };
    }
    case "anyOf":
      return {
        code: "CONFIG_VALUE",
        message: `${name} is "none", projects/PROJECT_ID/topics/TOPIC_ID, or for a batch job a .jsonl file, not ${value}`,
      };
    case "pattern":
      return {
        code: "CONFIG_VALUE",
        message: `${name} has not the right form: ${value}`,
        ...(description === undefined ? {} : { hint: description }),
      };
    default:
      return { code: "CONFIG_VALUE", message: `${name} ${error.message ?? "is wrong"}, and is ${value}` };
  }
}

function article(type: string): string {
  const words: Record<string, string> = {
    object: "a map",
    array: "a list",
    boolean: "true or false",
    string: "text",
    integer: "a whole number",
    number: "a number",
  };
  return words[type] ?? type;
}
