import type { LogLevel } from "./effective.js";
import type { TimerUnit } from "./units.js";

/** klio-job.yaml as a person writes it, once the schema has accepted it; before that every part may be anything. */
export interface Written {
  version?: 1 | 2;
  job_name: string;
  pipeline_options?: Record<string, unknown> & { project?: string; runner?: string; streaming?: boolean };
  job_config?: Record<string, unknown> & {
    allow_non_klio_messages?: boolean;
    events?: { inputs?: WrittenEvent[]; outputs?: WrittenEvent[] };
    data?: { inputs?: WrittenData[]; outputs?: WrittenData[] };
    dependencies?: WrittenDependency[];
    delivery?: {
      attempts?: number;
      retry_delay?: string;
      max_retry_delay?: string;
      timeout?: string;
      pause_after?: number;
      max_outstanding_messages?: number;
      max_outstanding_bytes?: string;
      ack_deadline?: string;
      grace_period?: string;
      dead_letter?: string;
    };
    workers?: {
      mode?: "process" | "inline";
      count?: number;
      concurrency?: number;
      memory?: string;
      limits?: Record<string, number>;
    };
    metrics?: { logger?: boolean | { level?: LogLevel; timer_unit?: TimerUnit }; timer_unit?: TimerUnit };
  };
}

export interface WrittenEvent {
  type: "pubsub" | "file";
  name?: string;
  topic?: string;
  subscription?: string;
  location?: string;
  skip_header_lines?: number;
  compression_type?: "auto" | "gzip" | "uncompressed";
  file_name_suffix?: string;
  num_shards?: number;
  header?: string;
  footer?: string;
  skip_klio_read?: boolean;
  skip_klio_write?: boolean;
}

export interface WrittenData {
  type: "gcs" | "file";
  name?: string;
  location: string;
  file_suffix?: string;
  ping?: boolean;
  force?: boolean;
  skip_klio_existence_check?: boolean;
}

export interface WrittenDependency {
  job_name: string;
  gcp_project?: string;
  region?: string;
  input_topic?: string;
  input_topics?: string[];
}
