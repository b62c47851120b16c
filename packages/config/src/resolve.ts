import { parseDuration } from "./duration.js";
import type { Delivery, EffectiveConfig, EventInput, EventOutput } from "./effective.js";
import { entryNames } from "./overrides.js";
import { knownJobConfigKeys } from "./validate.js";
import type { Written } from "./written.js";

/** Fills in every default of a configuration that schema and rules have accepted. */
export function resolve(written: Written): EffectiveConfig {
  const options = written.pipeline_options ?? {};
  const config = written.job_config ?? {};
  const project = options.project ?? "";
  const own = Object.entries(config).filter(([key]) => !knownJobConfigKeys.includes(key));
  return {
    version: written.version ?? 2,
    job_name: written.job_name,
    pipeline_options: {
      ...options,
      project,
      runner: options.runner ?? "DataflowRunner",
      streaming: options.streaming ?? true,
    },
    job_config: {
      allow_non_klio_messages: config.allow_non_klio_messages ?? false,
      events: { inputs: eventInputs(written, project), outputs: eventOutputs(written) },
      data: { inputs: dataInputs(written), outputs: dataOutputs(written) },
      delivery: delivery(written, project),
      workers: { count: config.workers?.count ?? 0, concurrency: config.workers?.concurrency ?? 4 },
      user: Object.fromEntries(own),
    },
  };
}

function delivery(written: Written, project: string): Delivery {
  const given = written.job_config?.delivery ?? {};
  const ms = (text: string | undefined, otherwise: number) =>
    text === undefined ? otherwise : (parseDuration(text) ?? otherwise);
  return {
    attempts: given.attempts ?? 5,
    retry_delay_ms: ms(given.retry_delay, 1_000),
    timeout_ms: ms(given.timeout, 0),
    ack_deadline_ms: ms(given.ack_deadline, 60_000),
    grace_period_ms: ms(given.grace_period, 30_000),
    dead_letter: given.dead_letter ?? `projects/${project}/topics/${written.job_name}-dead-letter`,
  };
}

function eventInputs(written: Written, project: string): EventInput[] {
  const inputs = written.job_config?.events?.inputs ?? [];
  const names = entryNames(inputs);
  return inputs.map((input, i) => {
    const topicId = input.topic?.split("/").at(-1) ?? "";
    return {
      type: "pubsub",
      name: names[i] ?? "",
      ...(input.topic === undefined ? {} : { topic: input.topic }),
      subscription: input.subscription ?? `projects/${project}/subscriptions/${topicId}-${written.job_name}`,
    };
  });
}

function eventOutputs(written: Written): EventOutput[] {
  const outputs = written.job_config?.events?.outputs ?? [];
  const names = entryNames(outputs);
  return outputs.map((output, i) => ({
    type: "pubsub",
    name: names[i] ?? "",
    topic: output.topic ?? "",
    skip_klio_write: output.skip_klio_write ?? false,
  }));
}

function dataInputs(written: Written) {
  const inputs = written.job_config?.data?.inputs ?? [];
  const names = entryNames(inputs);
  return inputs.map((input, i) => ({
    type: "gcs" as const,
    name: names[i] ?? "",
    location: input.location,
    file_suffix: input.file_suffix ?? "",
    ping: input.ping ?? false,
    skip_klio_existence_check: input.skip_klio_existence_check ?? false,
  }));
}

function dataOutputs(written: Written) {
  const outputs = written.job_config?.data?.outputs ?? [];
  const names = entryNames(outputs);
  return outputs.map((output, i) => ({
    type: "gcs" as const,
    name: names[i] ?? "",
    location: output.location,
    file_suffix: output.file_suffix ?? "",
    force: output.force ?? false,
    skip_klio_existence_check: output.skip_klio_existence_check ?? false,
  }));
}
