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
  readonly streaming: boolean;
  readonly [key: string]: unknown;
}

export interface JobConfig {
  readonly allow_non_klio_messages: boolean;
  readonly events: { readonly inputs: readonly EventInput[]; readonly outputs: readonly EventOutput[] };
  readonly data: { readonly inputs: readonly DataInput[]; readonly outputs: readonly DataOutput[] };
  readonly delivery: Delivery;
  readonly workers: Workers;
  /** The job's own keys, which its code reads as `config`. */
  readonly user: Readonly<Record<string, unknown>>;
}

export interface EventInput {
  readonly type: "pubsub";
  readonly name: string;
  /** Absent when only the subscription is configured: the job can read, but nobody can publish to it by name. */
  readonly topic?: string;
  readonly subscription: string;
}

export interface EventOutput {
  readonly type: "pubsub";
  readonly name: string;
  readonly topic: string;
  readonly skip_klio_write: boolean;
}

export interface DataInput {
  readonly type: "gcs";
  readonly name: string;
  readonly location: string;
  readonly file_suffix: string;
  readonly ping: boolean;
  readonly skip_klio_existence_check: boolean;
}

export interface DataOutput {
  readonly type: "gcs";
  readonly name: string;
  readonly location: string;
  readonly file_suffix: string;
  readonly force: boolean;
  readonly skip_klio_existence_check: boolean;
}

/** Times in milliseconds. */
export interface Delivery {
  readonly attempts: number;
  readonly retry_delay_ms: number;
  /** 0: no limit. */
  readonly timeout_ms: number;
  readonly ack_deadline_ms: number;
  readonly grace_period_ms: number;
  /** A topic, or "none". */
  readonly dead_letter: string;
}

export interface Workers {
  /** 0: one for each processor of the machine that runs the job, at most 8. */
  readonly count: number;
  readonly concurrency: number;
}

/** The file that `klio job build` writes beside the compiled job. */
export const effectiveFile = "effective.json";

/** A subscription beside the dead-letter topic keeps what is published there until somebody reads it. */
export function deadLetterSubscription(topic: string): string {
  return topic.replace("/topics/", "/subscriptions/");
}
