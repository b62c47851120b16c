import { longestDuration, parseDuration } from "./duration.js";
import { deadLetterKind } from "./effective.js";
import { parseQuantity } from "./units.js";
import { entryNames } from "./overrides.js";
import type { Report } from "./source.js";
import type { Written, WrittenData, WrittenEvent } from "./written.js";

// What a schema cannot say. The codes are in docs/reference/errors.md, examples of each in spec/config-vectors.json.

/** Reports the rules that the configuration breaks. It may still be wrong by the schema. */
export function checkRules(config: Partial<Written>, report: Report): void {
  needsProject(config, report);
  needsInput(config, report);
  needsTopicOrSubscription(config, report);
  keysOfType(config, report);
  needsLocationOrTopic(config, report);
  modeFits(config, report);
  locationsFit(config, report);
  outputsDiffer(config, report);
  oneDataEntry(config, report);
  namesAreUnique(config, report);
  leaseIsLegal(config, report);
  deadLetterFits(config, report);
  noRawPipeline(config, report);
  inlineFits(config, report);
  delaysFit(config, report);
  durationsFit(config, report);
  boundFits(config, report);
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
  const hint =
    "Add one to job_config.events.inputs: {type: pubsub, topic: projects/PROJECT_ID/topics/TOPIC_ID}, or for a batch job {type: file, location: elements.txt}";
  report({ code: "CONFIG_NO_INPUT", message: "the job has no event input", hint, path: ["job_config"] });
}

function needsTopicOrSubscription(config: Partial<Written>, report: Report): void {
  list(config.job_config?.events?.inputs).forEach((input, i) => {
    if ((input.type as string) === "file" || input.topic !== undefined || input.subscription !== undefined) return;
    const message = "a pubsub input needs a topic, a subscription, or both";
    report({ code: "CONFIG_NO_SUBSCRIPTION", message, path: ["job_config", "events", "inputs", i] });
  });
}

const ofType: Readonly<Record<string, readonly string[]>> = {
  "pubsub inputs": ["topic", "subscription", "skip_klio_read", "data_location"],
  "file inputs": ["location", "skip_header_lines", "compression_type", "skip_klio_read"],
  "pubsub outputs": ["topic", "skip_klio_write"],
  "file outputs": [
    "location",
    "file_name_suffix",
    "num_shards",
    "header",
    "footer",
    "compression_type",
    "skip_klio_write",
  ],
};

function keysOfType(config: Partial<Written>, report: Report): void {
  for (const direction of ["inputs", "outputs"] as const) {
    list(config.job_config?.events?.[direction]).forEach((entry, i) => {
      const all = Object.keys(ofType).filter((kind) => kind.endsWith(direction));
      const own = ofType[`${entry.type} ${direction}`];
      for (const key of own === undefined ? [] : Object.keys(entry)) {
        const known = all.some((kind) => ofType[kind]?.includes(key) === true);
        if (!known || own?.includes(key) === true) continue;
        const message = `a ${entry.type} entry has no key "${key}"`;
        const hint = `Its keys: ${["type", "name", ...(own ?? [])].join(", ")}.`;
        const path = ["job_config", "events", direction, i];
        report({ code: "CONFIG_KEY_OF_OTHER_TYPE", message, hint, path, key });
      }
    });
  }
}

function needsLocationOrTopic(config: Partial<Written>, report: Report): void {
  for (const direction of ["inputs", "outputs"] as const) {
    list(config.job_config?.events?.[direction]).forEach((entry, i) => {
      const needed = entry.type === "file" ? "location" : direction === "outputs" ? "topic" : undefined;
      if (needed === undefined || entry[needed] !== undefined) return;
      const path = ["job_config", "events", direction, i];
      const message = `job_config.events.${direction}.${i} needs the key "${needed}"`;
      report({ code: "CONFIG_MISSING_KEY", message, path });
    });
  }
}

/** Messages of a subscription never end, lines of a file do. */
function modeFits(config: Partial<Written>, report: Report): void {
  const streaming = config.pipeline_options?.streaming ?? true;
  const inputs = list(config.job_config?.events?.inputs);
  const wrong = (message: string, hint: string, direction: string, i: number) => {
    report({ code: "CONFIG_MODE", message, hint, path: ["job_config", "events", direction, i] });
  };
  if (streaming) {
    list(config.job_config?.events?.outputs).forEach((output, i) => {
      if (output.type !== "file") return;
      wrong(
        "a streaming job never ends, so a file output would never be written",
        "Set pipeline_options.streaming: false, or send messages to a topic.",
        "outputs",
        i,
      );
    });
    if (inputs.length === 0 || inputs.some((input) => input.type !== "file")) return;
    const hint = "Set pipeline_options.streaming: false. Klio and klio take a job for streaming that does not say so.";
    wrong("a job whose event inputs are all files is a batch job", hint, "inputs", 0);
    return;
  }
  inputs.forEach((input, i) => {
    if (input.type !== "pubsub") return;
    const hint = "Set pipeline_options.streaming: true, or read elements from files.";
    wrong("a batch job ends with its input, and a subscription never does", hint, "inputs", i);
  });
}

const bucketPattern = /^gs:\/\/[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](\/[^\r\n]*)?$/;

function locationsFit(config: Partial<Written>, report: Report): void {
  for (const direction of ["inputs", "outputs"] as const) {
    list<WrittenData>(config.job_config?.data?.[direction]).forEach((entry, i) => {
      if (typeof entry.location !== "string") return;
      const path = ["job_config", "data", direction, i, "location"];
      const name = path.join(".");
      const value = JSON.stringify(entry.location);
      if (entry.type === "gcs" && !bucketPattern.test(entry.location)) {
        const message = `${name} has not the right form: ${value}`;
        const hint = "gs://BUCKET or gs://BUCKET/FOLDER. For a folder on this machine: type: file";
        report({ code: "CONFIG_VALUE", message, hint, path });
      }
      if ((entry.type as string) === "file" && entry.location.startsWith("gs://")) {
        const message = `${name} is in Cloud Storage: ${value}`;
        report({ code: "CONFIG_VALUE", message, hint: "Its type is gcs; file is for folders.", path });
      }
    });
    list(config.job_config?.events?.[direction]).forEach((entry, i) => {
      const { location } = entry;
      if (typeof location !== "string" || !location.startsWith("gs://")) return;
      if (bucketPattern.test(location) && location.split("/").length > 3) return;
      const path = ["job_config", "events", direction, i, "location"];
      const message = `${path.join(".")} has not the right form: ${JSON.stringify(location)}`;
      report({ code: "CONFIG_VALUE", message, hint: "A path, or gs://BUCKET/NAME.", path });
    });
  }
  const dead: unknown = config.job_config?.delivery?.dead_letter;
  if (typeof dead !== "string" || !dead.startsWith("gs://") || bucketPattern.test(dead)) return;
  const message = `job_config.delivery.dead_letter has not the right form: ${JSON.stringify(dead)}`;
  report({ code: "CONFIG_VALUE", message, path: ["job_config", "delivery", "dead_letter"] });
}

/** Two outputs that write the same files would leave only one of them. */
function outputsDiffer(config: Partial<Written>, report: Report): void {
  const outputs = list(config.job_config?.events?.outputs);
  const names = outputs.map((o) => `${o.location ?? ""}-${o.num_shards ?? 1}${o.file_name_suffix ?? ""}`);
  outputs.forEach((output, i) => {
    if (output.type !== "file" || names.indexOf(names[i] ?? "") === i) return;
    const message = `job_config.events.outputs.${i} writes the same files as another output`;
    report({ code: "CONFIG_SAME_FILES", message, path: ["job_config", "events", "outputs", i, "location"] });
  });
}

function oneDataEntry(config: Partial<Written>, report: Report): void {
  for (const direction of ["inputs", "outputs"] as const) {
    const entries = list<WrittenData>(config.job_config?.data?.[direction]);
    if (entries.length < 2) continue;
    const message = `this version runs jobs with one entry in job_config.data.${direction}, not ${entries.length}`;
    report({ code: "CONFIG_TOO_MANY", message, path: ["job_config", "data", direction, 1] });
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

/** A file of dead letters is put together when the job has finished. */
function deadLetterFits(config: Partial<Written>, report: Report): void {
  const written: unknown = config.job_config?.delivery?.dead_letter;
  if (typeof written !== "string" || config.pipeline_options?.streaming === false) return;
  if (deadLetterKind(written) !== "file") return;
  const message = "a streaming job's dead letters go to a topic, or are `none`: a file is for batch jobs";
  report({ code: "CONFIG_MODE", message, path: ["job_config", "delivery", "dead_letter"] });
}

function noRawPipeline(config: Partial<Written>, report: Report): void {
  list(config.job_config?.events?.inputs).forEach((input, i) => {
    if (input.skip_klio_read !== true) return;
    const message = "skip_klio_read is for Python jobs: a TypeScript job always receives items";
    report({ code: "CONFIG_SKIP_READ", message, path: ["job_config", "events", "inputs", i, "skip_klio_read"] });
  });
}

const smallestMemory = "128Mi";

/** Inline there is one process, and nobody beside it who could measure or end it. */
function inlineFits(config: Partial<Written>, report: Report): void {
  const workers = config.job_config?.workers;
  if (typeof workers !== "object") return;
  if (workers.mode === "inline") {
    for (const key of ["count", "memory"] as const) {
      if (workers[key] === undefined) continue;
      const message = `workers.${key} is for worker processes, and workers.mode is inline`;
      const hint = `Remove it, or set workers.mode: process.`;
      report({ code: "CONFIG_INLINE", message, hint, path: ["job_config", "workers", key] });
    }
  }
  const memory: unknown = workers.memory;
  const bytes = typeof memory === "string" ? parseQuantity(memory) : undefined;
  if (bytes === undefined || bytes >= (parseQuantity(smallestMemory) ?? 0)) return;
  const message = `workers.memory is ${String(memory)}, and a worker takes about half of ${smallestMemory} before it has done anything`;
  const hint = `At least ${smallestMemory}.`;
  report({ code: "CONFIG_VALUE", message, hint, path: ["job_config", "workers", "memory"] });
}

function delaysFit(config: Partial<Written>, report: Report): void {
  const { retry_delay: first = "1s", max_retry_delay: longest = "1m" } = config.job_config?.delivery ?? {};
  const [a, b] = [first, longest].map((text: unknown) => (typeof text === "string" ? parseDuration(text) : undefined));
  if (a === undefined || b === undefined || a <= b) return;
  const message = `delivery.retry_delay (${first}) is longer than delivery.max_retry_delay (${longest})`;
  report({ code: "CONFIG_VALUE", message, path: ["job_config", "delivery"] });
}

function durationsFit(config: Partial<Written>, report: Report): void {
  const { delivery = {} } = config.job_config ?? {};
  for (const key of ["retry_delay", "max_retry_delay", "timeout", "grace_period"] as const) {
    const written: unknown = delivery[key];
    const ms = typeof written === "string" ? parseDuration(written) : undefined;
    if (ms === undefined || ms <= longestDuration.ms) continue;
    const message = `delivery.${key} is at most ${longestDuration.text}, not ${String(written)}`;
    report({ code: "CONFIG_VALUE", message, path: ["job_config", "delivery", key] });
  }
}

/** Each subscription receives by itself, all event files together: none of them with less than one message. */
function boundFits(config: Partial<Written>, report: Report): void {
  const bound: unknown = config.job_config?.delivery?.max_outstanding_messages;
  const types = list(config.job_config?.events?.inputs).map((input) => input.type as string);
  const least = types.filter((type) => type === "pubsub").length + (types.includes("file") ? 1 : 0);
  if (typeof bound !== "number" || bound < 1 || bound >= least) return;
  const message = `delivery.max_outstanding_messages is ${bound}, and the job receives from ${least} inputs, from each one message at least`;
  const path = ["job_config", "delivery", "max_outstanding_messages"];
  report({ code: "CONFIG_VALUE", message, hint: `At least ${least}.`, path });
}

function list<T extends object>(value: readonly T[] | undefined): readonly T[] {
  return Array.isArray(value)
    ? (value as readonly T[]).filter((e) => typeof e === "object" && (e as object | null) !== null)
    : [];
}
