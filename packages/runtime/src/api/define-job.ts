import type { EffectiveConfig } from "@klio/config/effective";
import type { Leaving } from "./leaving.js";
import type { MetricsBackend } from "./metrics.js";
import type { Inputs, Pipeline } from "./pipeline.js";
import type { StandardSchema } from "./standard-schema.js";

/** What a job is made of. */
export interface JobDefinition<Config> {
  /** Checks the job's own keys of `job_config` and gives them their types. Any Standard Schema. What it refuses ends the job (`JOB_CONFIG`). */
  readonly config?: StandardSchema<Config>;
  /** Back-ends of the job's own for `ctx.metrics`, made once in each worker from what is `ctx.config` there. */
  readonly metrics?: (config: EffectiveConfig) => readonly MetricsBackend[];
  /**
   * Lays out the job: synchronous, and a pure function of the configuration, because every process calls it again.
   * Of several event inputs `input` is all together; `input.branch("name", …)` takes them apart by their names.
   * What the returned pipeline carries leaves the job in messages: bytes, text, `json(…)`, or nothing. What it throws ends the job
   * (`JOB_GRAPH`).
   */
  build(input: Pipeline<Inputs>, config: Config): Pipeline<{ readonly main: Leaving }>;
}

/** What a job's `src/run.ts` exports by default. */
export interface Job {
  readonly kind: "klio.job";
  readonly config: StandardSchema<unknown> | undefined;
  readonly metrics: JobDefinition<never>["metrics"];
  readonly build: (input: Pipeline<Inputs>, config: never) => Pipeline<{ readonly main: Leaving }>;
}

/** Defines a job: the default export of `src/run.ts`. Without a schema, `config` is the job's own keys of `job_config` as they stand. */
export function defineJob<Config = Readonly<Record<string, unknown>>>(definition: JobDefinition<Config>): Job {
  const { config, metrics } = definition;
  return { kind: "klio.job", config, metrics, build: (input, own) => definition.build(input, own) };
}
