export { buildFolder, buildJob, type BuiltJob, isBuilt } from "./build.js";
export { type ConfigChange, configChanges } from "./config-changes.js";
export { type JobOptions, type LoadedJob, loadJob } from "./load.js";
export { RunBuilds } from "./run-builds.js";
export { typeErrors } from "./type-check.js";
export { type ChangedFiles, watchJob } from "./watch.js";
