export type { Context, Logger, UploadOptions, UploadSource } from "./api/context.js";
export type { Duration } from "./api/duration.js";
export { ExecError, type ExecOptions, type ExecResult } from "./api/exec.js";
export type { Counter, Gauge, MetricReport, Metrics, MetricsBackend, Tags, Timer } from "./api/metrics.js";
export { type Job, type JobDefinition, defineJob } from "./api/define-job.js";
export {
  defineTransform,
  type RetryOptions,
  type Transform,
  type TransformDefinition,
} from "./api/define-transform.js";
export { InputNotFoundError, PermanentError } from "./api/errors.js";
export type { Item } from "./api/item.js";
export { json, type Json, type Jsonable, type Leaving } from "./api/leaving.js";
export { skip, type Skip, tag, type Tagged } from "./api/outcome.js";
export { type Inputs, merge, type Pipeline } from "./api/pipeline.js";
export type { StandardSchema } from "./api/standard-schema.js";
export type { UploadedObject } from "./api/uploaded-object.js";
export type { EffectiveConfig } from "@klio/config/effective";
