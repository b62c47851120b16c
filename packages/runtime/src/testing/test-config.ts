import type { DataInput, DataOutput, EffectiveConfig } from "@klio/config/effective";
import { type Duration, milliseconds } from "../api/duration.js";

/** What klio-job.yaml says of a job under test, and its input objects. */
export interface TestOptions {
  /** Names of the event inputs. Default: one, `pubsub0`. */
  readonly inputs?: readonly string[];
  /** The job's own keys of `job_config`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Objects of the data input, by name: the element and its suffix. Without them the job has no data input. */
  readonly objects?: Readonly<Record<string, Uint8Array | string>>;
  /** `file_suffix` of the data input, e.g. `.wav`. */
  readonly inputSuffix?: string;
  /** `file_suffix` of the data output, e.g. `.png`. */
  readonly outputSuffix?: string;
  /** False: the job has no data output, so that uploads fail as they do in production. Default: true. */
  readonly dataOutput?: boolean;
  /** `delivery.attempts`. Default: 1, so that the first failure ends a message. */
  readonly attempts?: number;
  /** `delivery.retry_delay`. Default: 1 s, over which the test's clock jumps; the longest delay is a minute. */
  readonly retryDelay?: Duration;
  /** `delivery.timeout`. Default: none. */
  readonly timeout?: Duration;
  /** `delivery.pause_after`. Default: 0, never. */
  readonly pauseAfter?: number;
  /** `workers.limits`: places by name. */
  readonly limits?: Readonly<Record<string, number>>;
  /** `workers.concurrency`. Default: 4. */
  readonly concurrency?: number;
  /** Names of parent jobs, which are asked for a missing input. */
  readonly parents?: readonly string[];
}

export const inputBucket = "test-input";
export const outputBucket = "test-output";
const project = "test-project";

/** What klio-job.yaml would say. */
export function testConfig(options: TestOptions): EffectiveConfig {
  return {
    version: 2,
    job_name: "test-job",
    pipeline_options: { project, runner: "DirectRunner", streaming: true },
    job_config: {
      allow_non_klio_messages: false,
      events: {
        inputs: (options.inputs ?? ["pubsub0"]).map((name) => ({
          type: "pubsub",
          name,
          subscription: `projects/${project}/subscriptions/${name}`,
        })),
        outputs: [{ type: "pubsub", name: "pubsub0", topic: `projects/${project}/topics/out`, skip_klio_write: false }],
      },
      data: { inputs: dataInputs(options), outputs: dataOutputs(options) },
      dependencies: (options.parents ?? []).map((job_name) => ({
        job_name,
        gcp_project: project,
        input_topics: [`projects/${project}/topics/${job_name}-input`],
      })),
      delivery: {
        attempts: options.attempts ?? 1,
        retry_delay_ms: milliseconds(options.retryDelay ?? "1s", "retryDelay"),
        max_retry_delay_ms: 60_000,
        timeout_ms: milliseconds(options.timeout ?? 0, "timeout"),
        pause_after: options.pauseAfter ?? 0,
        max_outstanding_messages: 0,
        max_outstanding_bytes: 268_435_456,
        ack_deadline_ms: 60_000,
        grace_period_ms: 30_000,
        dead_letter: `projects/${project}/topics/test-job-dead-letter`,
      },
      workers: {
        mode: "inline",
        count: 1,
        concurrency: options.concurrency ?? 4,
        memory_bytes: 0,
        limits: options.limits ?? {},
      },
      user: options.config ?? {},
    },
  };
}

function dataInputs({ objects, inputSuffix = "" }: TestOptions): DataInput[] {
  if (objects === undefined) return [];
  const location = `gs://${inputBucket}`;
  return [
    { type: "gcs", name: "gcs0", location, file_suffix: inputSuffix, ping: false, skip_klio_existence_check: false },
  ];
}

function dataOutputs({ dataOutput = true, outputSuffix = "" }: TestOptions): DataOutput[] {
  if (!dataOutput) return [];
  const location = `gs://${outputBucket}`;
  return [
    { type: "gcs", name: "gcs0", location, file_suffix: outputSuffix, force: false, skip_klio_existence_check: false },
  ];
}
