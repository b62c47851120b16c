import { parseDuration } from "./duration.js";
import type {
  DataInput,
  DataOutput,
  Delivery,
  Dependency,
  EffectiveConfig,
  EventInput,
  EventOutput,
  MetricsLogger,
  Workers,
} from "./effective.js";
import { parseQuantity, timerUnit } from "./units.js";
import { entryNames } from "./overrides.js";
import { knownJobConfigKeys } from "./validate.js";
import type { Written } from "./written.js";

/** Fills in every default of a configuration that schema and rules have accepted. */
export function resolve(written: Written): EffectiveConfig {
  const options = written.pipeline_options ?? {};
  const config = written.job_config ?? {};
  const project = options.project ?? "";
  const streaming = options.streaming ?? true;
  const own = Object.entries(config).filter(([key]) => !knownJobConfigKeys.includes(key));
  return {
    version: written.version ?? 2,
    job_name: written.job_name,
    pipeline_options: { ...options, project, runner: options.runner ?? "DataflowRunner", streaming },
    job_config: {
      allow_non_klio_messages: config.allow_non_klio_messages ?? false,
      events: { inputs: eventInputs(written, project), outputs: eventOutputs(written) },
      data: { inputs: dataInputs(written), outputs: dataOutputs(written) },
      dependencies: dependencies(written, project),
      delivery: delivery(written, project, streaming),
      workers: workers(written),
      ...metricsLogger(written),
      user: Object.fromEntries(own),
    },
  };
}

function workers(written: Written): Workers {
  const given = written.job_config?.workers ?? {};
  return {
    mode: given.mode ?? "process",
    count: given.count ?? 0,
    concurrency: given.concurrency ?? 4,
    memory_bytes: given.memory === undefined ? 0 : (parseQuantity(given.memory) ?? 0),
    limits: given.limits ?? {},
  };
}

function metricsLogger(written: Written): { readonly metrics_logger?: MetricsLogger } {
  const given = written.job_config?.metrics;
  const logger = given?.logger ?? true;
  if (logger === false) return {};
  const own = logger === true ? {} : logger;
  return {
    metrics_logger: {
      level: own.level ?? "debug",
      timer_unit_ns: timerUnit(own.timer_unit ?? given?.timer_unit ?? "ns"),
    },
  };
}

function delivery(written: Written, project: string, streaming: boolean): Delivery {
  const given = written.job_config?.delivery ?? {};
  const ms = (text: string | undefined, otherwise: number) =>
    text === undefined ? otherwise : (parseDuration(text) ?? otherwise);
  const name = `${written.job_name}-dead-letter`;
  return {
    attempts: given.attempts ?? 5,
    retry_delay_ms: ms(given.retry_delay, 1_000),
    max_retry_delay_ms: ms(given.max_retry_delay, 60_000),
    timeout_ms: ms(given.timeout, 0),
    pause_after: given.pause_after ?? 20,
    max_outstanding_messages: given.max_outstanding_messages ?? 0,
    max_outstanding_bytes: parseQuantity(given.max_outstanding_bytes ?? "256Mi") ?? 0,
    ack_deadline_ms: ms(given.ack_deadline, 60_000),
    grace_period_ms: ms(given.grace_period, 30_000),
    dead_letter: given.dead_letter ?? (streaming ? `projects/${project}/topics/${name}` : `${name}.jsonl`),
  };
}

function eventInputs(written: Written, project: string): EventInput[] {
  const inputs = written.job_config?.events?.inputs ?? [];
  const names = entryNames(inputs);
  return inputs.map((input, i) => {
    const name = names[i] ?? "";
    if (input.type === "file") {
      return {
        type: "file",
        name,
        location: input.location ?? "",
        skip_header_lines: input.skip_header_lines ?? 0,
        compression_type: input.compression_type ?? "auto",
      };
    }
    const topicId = input.topic?.split("/").at(-1) ?? "";
    return {
      type: "pubsub",
      name,
      ...(input.topic === undefined ? {} : { topic: input.topic }),
      subscription: input.subscription ?? `projects/${project}/subscriptions/${topicId}-${written.job_name}`,
    };
  });
}

function eventOutputs(written: Written): EventOutput[] {
  const outputs = written.job_config?.events?.outputs ?? [];
  const names = entryNames(outputs);
  return outputs.map((output, i) => {
    const name = names[i] ?? "";
    const skip_klio_write = output.skip_klio_write ?? false;
    if (output.type === "pubsub") return { type: "pubsub", name, topic: output.topic ?? "", skip_klio_write };
    return {
      type: "file",
      name,
      location: output.location ?? "",
      file_name_suffix: output.file_name_suffix ?? "",
      num_shards: output.num_shards ?? 1,
      ...(output.header === undefined ? {} : { header: output.header }),
      ...(output.footer === undefined ? {} : { footer: output.footer }),
      compression_type: output.compression_type ?? "auto",
      skip_klio_write,
    };
  });
}

function dataInputs(written: Written): DataInput[] {
  const inputs = written.job_config?.data?.inputs ?? [];
  const names = entryNames(inputs);
  return inputs.map((input, i) => ({
    type: input.type,
    name: names[i] ?? "",
    location: input.location,
    file_suffix: input.file_suffix ?? "",
    ping: input.ping ?? false,
    skip_klio_existence_check: input.skip_klio_existence_check ?? false,
  }));
}

function dataOutputs(written: Written): DataOutput[] {
  const outputs = written.job_config?.data?.outputs ?? [];
  const names = entryNames(outputs);
  return outputs.map((output, i) => ({
    type: output.type,
    name: names[i] ?? "",
    location: output.location,
    file_suffix: output.file_suffix ?? "",
    force: output.force ?? false,
    skip_klio_existence_check: output.skip_klio_existence_check ?? false,
  }));
}

function dependencies(written: Written, project: string): Dependency[] {
  return (written.job_config?.dependencies ?? []).map((d) => {
    const gcp_project = d.gcp_project ?? project;
    const one = d.input_topic ?? `projects/${gcp_project}/topics/${d.job_name}-input`;
    return {
      job_name: d.job_name,
      gcp_project,
      ...(d.region === undefined ? {} : { region: d.region }),
      input_topics: d.input_topics ?? [one],
    };
  });
}
