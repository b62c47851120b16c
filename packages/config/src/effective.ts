/** The effective configuration: canonical, resolved, without templates or aliases. Key names are those of klio-job.yaml. */
export interface EffectiveConfig {
  readonly version: 1 | 2;
  readonly job_name: string;
  readonly pipeline_options: PipelineOptions;
  readonly job_config: JobConfig;
}

export interface PipelineOptions {
  readonly project: string;
  readonly runner: string;
  /** False: a batch job, which ends with its event files. */
  readonly streaming: boolean;
  readonly [key: string]: unknown;
}

export interface JobConfig {
  readonly allow_non_klio_messages: boolean;
  readonly events: { readonly inputs: readonly EventInput[]; readonly outputs: readonly EventOutput[] };
  readonly data: { readonly inputs: readonly DataInput[]; readonly outputs: readonly DataOutput[] };
  /** The parent jobs. */
  readonly dependencies: readonly Dependency[];
  readonly delivery: Delivery;
  readonly workers: Workers;
  /** Absent: metrics are not logged. */
  readonly metrics_logger?: MetricsLogger;
  /** The job's own keys, which its code reads as `config`. */
  readonly user: Readonly<Record<string, unknown>>;
}

export type EventInput = PubSubInput | FileInput;
export type EventOutput = PubSubOutput | FileOutput;

/** Messages of a subscription. */
export interface PubSubInput {
  readonly type: "pubsub";
  readonly name: string;
  /** Absent when only the subscription is configured: the job can read, but nobody can publish to it by name. */
  readonly topic?: string;
  readonly subscription: string;
}

/** Messages to a topic. */
export interface PubSubOutput {
  readonly type: "pubsub";
  readonly name: string;
  readonly topic: string;
  readonly skip_klio_write: boolean;
}

export type CompressionType = "auto" | "gzip" | "uncompressed";

/** Text files whose lines are elements. Relative paths are those of the directory the job is run in. */
export interface FileInput {
  readonly type: "file";
  readonly name: string;
  /** A path or `gs://…`, perhaps with wildcards. */
  readonly location: string;
  readonly skip_header_lines: number;
  readonly compression_type: CompressionType;
}

/** Text files with an element a line: `location-00000-of-00001` + suffix. */
export interface FileOutput {
  readonly type: "file";
  readonly name: string;
  readonly location: string;
  readonly file_name_suffix: string;
  readonly num_shards: number;
  readonly header?: string;
  readonly footer?: string;
  readonly compression_type: CompressionType;
  readonly skip_klio_write: boolean;
}

/** Where input objects are. */
export interface DataInput {
  readonly type: "gcs" | "file";
  readonly name: string;
  /** `gs://…`, or a folder. */
  readonly location: string;
  readonly file_suffix: string;
  readonly ping: boolean;
  readonly skip_klio_existence_check: boolean;
}

/** Where output objects go. */
export interface DataOutput {
  readonly type: "gcs" | "file";
  readonly name: string;
  /** `gs://…`, or a folder. */
  readonly location: string;
  readonly file_suffix: string;
  readonly force: boolean;
  readonly skip_klio_existence_check: boolean;
}

/** A parent job, to whose topic a message goes whose input is missing. */
export interface Dependency {
  readonly job_name: string;
  readonly gcp_project: string;
  readonly region?: string;
  /** At least one; the first is sent to. */
  readonly input_topics: readonly string[];
}

/** Times in milliseconds. */
export interface Delivery {
  readonly attempts: number;
  readonly retry_delay_ms: number;
  readonly max_retry_delay_ms: number;
  /** 0: no limit. */
  readonly timeout_ms: number;
  /** Different messages that fail in a row before the job pauses; 0: never. */
  readonly pause_after: number;
  /** 0: twice what the workers can work on. */
  readonly max_outstanding_messages: number;
  readonly max_outstanding_bytes: number;
  readonly ack_deadline_ms: number;
  readonly grace_period_ms: number;
  /** A topic, a .jsonl file (batch), or "none". */
  readonly dead_letter: string;
}

export interface Workers {
  readonly mode: "process" | "inline";
  /** 0: one for each processor of the machine that runs the job, at most 8. */
  readonly count: number;
  readonly concurrency: number;
  /** Bytes for each worker; 0: an equal share of four fifths of what there is. */
  readonly memory_bytes: number;
  /** Places in each limit that transforms share. */
  readonly limits: Readonly<Record<string, number>>;
}

export type LogLevel = "debug" | "info" | "warning" | "error";

/** Metrics as events on stdout. */
export interface MetricsLogger {
  readonly level: LogLevel;
  /** Nanoseconds in the unit of timers. */
  readonly timer_unit_ns: number;
}

/** The file that `klio job build` writes beside the compiled job. */
export const effectiveFile = "effective.json";

/** A subscription beside the dead-letter topic keeps what is published there until somebody reads it. */
export function deadLetterSubscription(topic: string): string {
  return topic.replace("/topics/", "/subscriptions/");
}

/** Whether dead letters go to a topic, to a file, or nowhere. */
export function deadLetterKind(deadLetter: string): "topic" | "file" | "none" {
  if (deadLetter === "none") return "none";
  return deadLetter.startsWith("projects/") && !deadLetter.endsWith(".jsonl") ? "topic" : "file";
}
