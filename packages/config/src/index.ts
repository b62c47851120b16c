export { checkYaml } from "./check-yaml.js";
export type { Diagnostic } from "./diagnostic.js";
export { formatDiagnostic } from "./diagnostic.js";
export * from "./effective.js";
export { type LoadOptions, type LoadResult, loadConfig } from "./load.js";
export { nearest } from "./nearest.js";
