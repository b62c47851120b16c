import { parseDuration } from "./duration.js";
import { entryNames } from "./overrides.js";
import type { Report } from "./source.js";
import type { Written, WrittenData, WrittenEvent } from "./written.js";

// What a schema cannot say. The codes are in docs/reference/errors.md, examples of each in spec/config-vectors.json.

/** Reports the rules that the configuration breaks. It may still be wrong by the schema. */
export function checkRules(config: Partial<Written>, report: Report): void {
  needsProject(config, report);
  needsInput(config, report);
  needsTopicOrSubscription(config, report);
  oneOfEach(config, report);
  namesAreUnique(config, report);
  leaseIsLegal(config, report);
  streamingOnly(config, report);
  noRawPipeline(config, report);
}

function needsProject(config: Partial<Written>, report: Report): void {
  if (typeof config.pipeline_options?.project === "string") return;
  const hint = "Add it; for local work any id of 6 to 30 letters, digits and hyphens will do.";
  report({
    code: "CONFIG_NO_PROJECT",
    message: "pipeline_options.project is missing",
    hint,
    path: ["pipeline_options"],
  });
}

function needsInput(config: Partial<Written>, report: Report): void {
  const { job_config: jobConfig } = config;
  if (typeof jobConfig !== "object" || (jobConfig.events?.inputs?.length ?? 0) > 0) return;
  const hint = "Add one to job_config.events.inputs: {type: pubsub, topic: projects/PROJECT_ID/topics/TOPIC_ID}";
  report({ code: "CONFIG_NO_INPUT", message: "the job has no event input", hint, path: ["job_config"] });
}

function needsTopicOrSubscription(config: Partial<Written>, report: Report): void {
  list(config.job_config?.events?.inputs).forEach((input, i) => {
    if (input.topic !== undefined || input.subscription !== undefined) return;
    const message = "a pubsub input needs a topic, a subscription, or both";
    report({ code: "CONFIG_NO_SUBSCRIPTION", message, path: ["job_config", "events", "inputs", i] });
  });
}

function oneOfEach(config: Partial<Written>, report: Report): void {
  for (const kind of ["events", "data"] as const) {
    for (const direction of ["inputs", "outputs"] as const) {
      const entries = list<WrittenEvent | WrittenData>(config.job_config?.[kind]?.[direction]);
      if (entries.length < 2) continue;
      const message = `this version runs jobs with one entry in job_config.${kind}.${direction}, not ${entries.length}`;
      report({ code: "CONFIG_TOO_MANY", message, path: ["job_config", kind, direction, 1] });
    }
  }
}

function namesAreUnique(config: Partial<Written>, report: Report): void {
  for (const kind of ["events", "data"] as const) {
    for (const direction of ["inputs", "outputs"] as const) {
      const names = entryNames(list<WrittenEvent | WrittenData>(config.job_config?.[kind]?.[direction]));
      names.forEach((name, i) => {
        if (names.indexOf(name) === i) return;
        const message = `the name "${name}" is used twice in job_config.${kind}.${direction}`;
        report({ code: "CONFIG_DUPLICATE_NAME", message, path: ["job_config", kind, direction, i] });
      });
    }
  }
}

function leaseIsLegal(config: Partial<Written>, report: Report): void {
  const written = config.job_config?.delivery?.ack_deadline;
  const ms = typeof written === "string" ? parseDuration(written) : undefined;
  if (ms === undefined || (ms >= 10_000 && ms <= 600_000 && ms % 1_000 === 0)) return;
  const message = `ack_deadline is 10s to 600s in whole seconds, not ${written ?? ""}`;
  report({ code: "CONFIG_ACK_DEADLINE", message, path: ["job_config", "delivery", "ack_deadline"] });
}

function streamingOnly(config: Partial<Written>, report: Report): void {
  if (config.pipeline_options?.streaming !== false) return;
  const message = "this version runs streaming jobs only";
  report({ code: "CONFIG_BATCH", message, path: ["pipeline_options", "streaming"] });
}

function noRawPipeline(config: Partial<Written>, report: Report): void {
  list(config.job_config?.events?.inputs).forEach((input, i) => {
    if (input.skip_klio_read !== true) return;
    const message = "skip_klio_read is for Python jobs: a TypeScript job always receives items";
    report({ code: "CONFIG_SKIP_READ", message, path: ["job_config", "events", "inputs", i, "skip_klio_read"] });
  });
}

function list<T extends object>(value: readonly T[] | undefined): readonly T[] {
  return Array.isArray(value)
    ? (value as readonly T[]).filter((e) => typeof e === "object" && (e as object | null) !== null)
    : [];
}
