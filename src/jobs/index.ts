export { buildJob, type BuiltJob } from "./build.js";
export { type JobOptions, type LoadedJob, loadJob } from "./load.js";
export { typeErrors } from "./type-check.js";
