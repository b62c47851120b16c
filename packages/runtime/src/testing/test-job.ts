import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EffectiveConfig } from "@klio/config/effective";
import type { Job } from "../api/define-job.js";
import type { UploadedObject } from "../api/uploaded-object.js";
import { type AttemptResult, runAttempt } from "../engine/attempt.js";
import type { Engine } from "../engine/engine.js";
import { type Graph, layOut } from "../engine/graph.js";
import type { LogEntry, MetricEntry } from "../engine/sink.js";
import { childId, requestMessage } from "../message/index.js";
import { MemoryStore } from "../objects/memory-store.js";

export interface TestOptions {
  /** Names of the event inputs. Default: one, `pubsub0`. */
  readonly inputs?: readonly string[];
  /** The job's own keys of `job_config`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Objects of the data input, by name: the element and its suffix. */
  readonly objects?: Readonly<Record<string, Uint8Array | string>>;
  /** `file_suffix` of the data input, e.g. `.wav`. */
  readonly inputSuffix?: string;
  /** `file_suffix` of the data output, e.g. `.png`. */
  readonly outputSuffix?: string;
}

export interface TestMessage {
  /** Name of the event input it comes from. Default: the first. */
  readonly input?: string;
  readonly element: string;
  readonly payload?: Uint8Array | string;
  readonly force?: boolean;
}

export interface TestedObject extends UploadedObject {
  /** Name below the data output's location. */
  readonly name: string;
  readonly data: Uint8Array;
}

/** What became of one message. */
export interface TestResult {
  readonly outcome: "processed" | "passed-through" | "skipped" | "failed";
  /** Why it was skipped, passed through, or failed. */
  readonly reason: string;
  /** What user code threw, when it failed. */
  readonly error:
    | { readonly message: string; readonly code: string; readonly stack: string; readonly permanent: boolean }
    | undefined;
  readonly messages: readonly {
    readonly element: string;
    readonly payload: Uint8Array;
    /** The payload as text. */
    readonly text: string;
    readonly klioId: string;
  }[];
  /** In the order of their uploads. */
  readonly objects: readonly TestedObject[];
  readonly logs: readonly LogEntry[];
  readonly metrics: readonly MetricEntry[];
}

export interface TestJob {
  /** Sends one message through the job and tells what became of it. Never rejects for what user code throws. */
  send(message: string | TestMessage): Promise<TestResult>;
  /** Takes an object of the data input away. */
  removeInput(name: string): void;
}

const inputLocation = "gs://test-input";
const outputLocation = "gs://test-output";

/**
 * Runs a job in the real engine with its edges in memory: no broker, no storage, no process.
 * A wrong graph or configuration rejects the first `send`.
 */
export function testJob(job: Job, options: TestOptions = {}): TestJob {
  const store = new MemoryStore();
  for (const [name, data] of Object.entries(options.objects ?? {})) {
    store.put({ bucket: "test-input", name }, typeof data === "string" ? Buffer.from(data) : data);
  }
  const config = effectiveFor(options);
  let engine: Promise<Engine> | undefined;
  let sent = 0;
  return {
    removeInput: (name) => {
      store.objects.delete(`${inputLocation}/${name}`);
    },
    send: async (message) => {
      engine ??= makeEngine(job, config, store);
      sent += 1;
      return runOne(await engine, store, typeof message === "string" ? { element: message } : message, `test-${sent}`);
    },
  };
}

async function makeEngine(job: Job, config: EffectiveConfig, store: MemoryStore): Promise<Engine> {
  const graph: Graph = await layOut(job, config);
  const states = new Map<string, unknown>();
  for (const node of graph.nodes.values()) states.set(node.path, await node.transform.setup?.());
  const temporaryFolder = () => mkdtemp(join(tmpdir(), "klio-test-"));
  return { config, graph, store, states, temporaryFolder, draining: () => false };
}

async function runOne(engine: Engine, store: MemoryStore, message: TestMessage, klioId: string): Promise<TestResult> {
  const logs: LogEntry[] = [];
  const metrics: MetricEntry[] = [];
  const request = requestMessage({ element: message.element, force: message.force ?? false });
  if (request.data !== undefined) request.data.payload = Buffer.from(message.payload ?? "");
  const result = await runAttempt(
    engine,
    {
      klioId,
      input: message.input ?? firstInput(engine),
      attempt: 1,
      message: request,
      signal: new AbortController().signal,
    },
    { log: (entry) => logs.push(entry), metric: (entry) => metrics.push(entry), enter: () => undefined },
  );
  return { ...describe(result, engine.config.job_name, klioId, store), logs, metrics };
}

function firstInput(engine: Engine): string {
  return engine.config.job_config.events.inputs[0]?.name ?? "";
}

function describe(result: AttemptResult, job: string, klioId: string, store: MemoryStore) {
  if (result.kind === "failed") {
    const { message, code, stack, kind } = result.failure;
    const error = { message, code, stack, permanent: kind === "permanent" };
    return { outcome: "failed" as const, reason: message, error, messages: [], objects: [] };
  }
  const messages = result.outputs.map(({ element, payload, node, tag, index }) => ({
    element,
    payload,
    text: Buffer.from(payload).toString(),
    klioId: childId(klioId, job, node, tag, index),
  }));
  const objects = result.objects.map((object) => ({
    ...object,
    name: object.uri.slice(`${outputLocation}/`.length),
    data: store.objects.get(object.uri)?.data ?? new Uint8Array(),
  }));
  return { outcome: result.kind, reason: result.reason, error: undefined, messages, objects };
}

function effectiveFor(options: TestOptions): EffectiveConfig {
  const check = { skip_klio_existence_check: false };
  return {
    version: 2,
    job_name: "test-job",
    pipeline_options: { project: "test-project", runner: "DirectRunner", streaming: true },
    job_config: {
      allow_non_klio_messages: false,
      events: {
        inputs: (options.inputs ?? ["pubsub0"]).map((name) => ({
          type: "pubsub",
          name,
          subscription: `projects/test-project/subscriptions/${name}`,
        })),
        outputs: [
          { type: "pubsub", name: "pubsub0", topic: "projects/test-project/topics/out", skip_klio_write: false },
        ],
      },
      data: {
        inputs:
          options.objects === undefined
            ? []
            : [
                {
                  type: "gcs",
                  name: "gcs0",
                  location: inputLocation,
                  file_suffix: options.inputSuffix ?? "",
                  ping: false,
                  ...check,
                },
              ],
        outputs: [
          {
            type: "gcs",
            name: "gcs0",
            location: outputLocation,
            file_suffix: options.outputSuffix ?? "",
            force: false,
            ...check,
          },
        ],
      },
      dependencies: [],
      delivery: {
        attempts: 1,
        retry_delay_ms: 0,
        timeout_ms: 0,
        ack_deadline_ms: 60_000,
        grace_period_ms: 30_000,
        dead_letter: "none",
      },
      workers: { count: 1, concurrency: 1 },
      user: options.config ?? {},
    },
  };
}
