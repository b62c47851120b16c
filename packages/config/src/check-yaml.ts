import { Ajv } from "ajv";
import type { Diagnostic } from "./diagnostic.js";
import { YamlSource } from "./source.js";
import { reportErrors } from "./validate.js";

/** Parses YAML, or JSON, and checks it against a JSON Schema; every problem has its place in the file. */
export function checkYaml(file: string, text: string, schema: object): { value: unknown; diagnostics: Diagnostic[] } {
  const source = new YamlSource(file, text);
  const value = source.toJS() ?? {};
  if (!source.failed) {
    const validator = new Ajv({ allErrors: true, verbose: true, strict: false }).compile(schema);
    if (!validator(value)) reportErrors(validator.errors ?? [], source.report);
  }
  return { value, diagnostics: source.diagnostics };
}
