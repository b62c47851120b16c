import { type Failure, Failure_Kind, type Result } from "../../gen/worker_pb.js";
import type { Job } from "../api/define-job.js";
import type { Duration } from "../api/duration.js";
import type { MetricReport } from "../api/metrics.js";
import type { UploadedObject } from "../api/uploaded-object.js";
import { layOut } from "../engine/graph.js";
import type { LogEntry, Sink } from "../engine/sink.js";
import { InlineWorker } from "../inline/worker.js";
import { Limits } from "../limits.js";
import { encodeMessage, klioIdAttribute, requestMessage } from "../message/index.js";
import { MemoryStore } from "../objects/memory-store.js";
import type { OutcomeEvent, RuntimeEvent } from "../supervisor/events.js";
import type { OutcomeName } from "../supervisor/outcome-name.js";
import { noObserver } from "../supervisor/observer.js";
import { writeNames } from "../supervisor/outputs.js";
import type { Status } from "../supervisor/status.js";
import { Supervisor } from "../supervisor/supervisor.js";
import type { Work } from "../supervisor/work.js";
import type { WorkerEvents, WorkerOptions } from "../supervisor/worker.js";
import { Performer } from "../worker/performer.js";
import { FakeClock } from "./fake-clock.js";
import { MemoryEdges } from "./memory-edges.js";
import type { Described } from "./described.js";
import { describeMessage } from "./described-message.js";
import { inputBucket, outputBucket, testConfig, type TestOptions } from "./test-config.js";

/** A KlioMessage of version 2, for everyone. */
export interface TestMessage {
  /** Name of the event input it comes from. Default: the first. */
  readonly input?: string;
  readonly element: string;
  /** Default: empty. */
  readonly payload?: Uint8Array | string;
  /** Recompute although the output exists. */
  readonly force?: boolean;
  /** Pass through without being processed. */
  readonly ping?: boolean;
  /** Its stable id. Default: `test-1`, `test-2`, … A message with the id of another is a repetition of that. */
  readonly klioId?: string;
  readonly orderingKey?: string;
}

/** A message as bytes, which may be no KlioMessage at all. */
export interface RawTestMessage {
  /** Name of the event input it comes from. Default: the first. */
  readonly input?: string;
  readonly data: Uint8Array;
  readonly attributes?: Readonly<Record<string, string>>;
}

/** An object that user code uploaded, adopted or found, and its bytes when the attempt ended. */
export interface TestedObject extends UploadedObject {
  /** Name below the data output's location. */
  readonly name: string;
  readonly data: Uint8Array;
}

/** What became of one message. */
export interface TestResult {
  readonly outcome: OutcomeName;
  /** Why it was skipped, passed through, or failed; empty otherwise. */
  readonly reason: string;
  /** What user code threw in the last attempt, when that failed. */
  readonly error:
    | { readonly message: string; readonly code: string; readonly stack: string; readonly permanent: boolean }
    | undefined;
  /** Attempts, charged or not; 0 when no worker was asked. */
  readonly attempts: number;
  /** Attempts that counted against it. */
  readonly charged: number;
  /** False when it was given back. */
  readonly acknowledged: boolean;
  /** Output messages. */
  readonly messages: readonly Described[];
  /** Its dead letter: the message's own bytes, and why it ended as attributes. */
  readonly deadLetter: { readonly data: Uint8Array; readonly attributes: Readonly<Record<string, string>> } | undefined;
  /** Of the attempt that ended it, in the order of their uploads; none when it failed. */
  readonly objects: readonly TestedObject[];
  /** Of all attempts. */
  readonly logs: readonly LogEntry[];
  /** Of all attempts, as they were reported. */
  readonly metrics: readonly MetricReport[];
}

/** A job under test. */
export interface TestJob {
  /**
   * Sends one message through the job and tells what became of it. Never rejects for what user code throws; rejects when the job
   * cannot run: its graph, its configuration or its `setup`. Waits for as long as the message waits for a time that has not come.
   */
  send(message: string | TestMessage | RawTestMessage): Promise<TestResult>;
  /** Puts an object into the data input, or takes one away. */
  putInput(name: string, data: Uint8Array | string): void;
  removeInput(name: string): void;
  /** The bytes of an object of the data output; undefined when there is none. */
  output(name: string): Uint8Array | undefined;
  /** Time stands still but for delays before another try or attempt, over which it jumps; `advance` moves it. */
  readonly clock: {
    /** Milliseconds since the epoch. */
    now(): number;
    /** Wakes whoever waits for a time that is over then, in the order of time. */
    advance(by: Duration): Promise<void>;
  };
  /** What `/readyz` would say. */
  status(): Status;
  /** Stops the job as SIGTERM does: what is in hand is finished, or given back after `advance("30s")`. Runs `teardown`. */
  stop(): Promise<void>;
}

interface Notes {
  readonly logs: LogEntry[];
  readonly metrics: MetricReport[];
  failure: Failure | undefined;
  objects: TestedObject[];
}

/**
 * Runs a job in the real engine and supervisor with its edges in memory: no broker, no storage, no process.
 * A wrong graph or configuration, or a `setup` that throws, rejects the first `send`.
 */
export function testJob(job: Job, options: TestOptions = {}): TestJob {
  return new JobUnderTest(job, options);
}

class JobUnderTest implements TestJob {
  readonly clock = new FakeClock(Date.UTC(2026, 0, 1));
  readonly #store = new MemoryStore();
  readonly #edges: MemoryEdges;
  readonly #supervisor: Supervisor;
  readonly #notes = new Map<string, Notes>();
  readonly #waiting = new Map<string, (event: OutcomeEvent) => void>();
  #started: Promise<void> | undefined;
  #settleStart: { resolve(): void; reject(error: Error): void } | undefined;
  #sent = 0;

  constructor(job: Job, options: TestOptions) {
    const config = testConfig(options);
    const { events, dependencies, workers } = config.job_config;
    for (const [name, data] of Object.entries(options.objects ?? {})) this.putInput(name, data);
    this.#edges = new MemoryEdges(
      events.inputs.map((i) => i.name),
      dependencies.map((d) => ({ jobName: d.job_name, gcpProject: d.gcp_project })),
    );
    const limits = new Limits(workers.limits);
    const make = async () => {
      const graph = await layOut(job, config);
      return Performer.make({ job, graph, config, store: this.#store, clock: this.clock, limits, abandonAfterMs: 0 });
    };
    this.#supervisor = new Supervisor({
      config,
      edges: this.#edges,
      emit: (event) => {
        this.#note(event);
      },
      observer: noObserver,
      clock: this.clock,
      fleet: {
        start: (of, tell) => new NotedWorker(of, this.#noting(tell), make, (work) => this.#notesOf(work)),
        build: { directory: "", configJson: "" },
        workers: 1,
        memory: Infinity,
        warm: false,
        onRetired: () => undefined,
      },
      onFatal: ({ message }) => {
        this.#settleStart?.reject(new Error(message));
      },
      onEnd: () => undefined,
    });
  }

  async send(message: string | TestMessage | RawTestMessage): Promise<TestResult> {
    await this.#start();
    this.#sent += 1;
    const messageId = `test-${this.#sent}`;
    this.#notes.set(messageId, { logs: [], metrics: [], failure: undefined, objects: [] });
    const ended = new Promise<OutcomeEvent>((resolve) => this.#waiting.set(messageId, resolve));
    const given = typeof message === "string" ? { element: message } : message;
    this.#edges.deliver({
      messageId,
      input: given.input ?? this.#edges.inputs[0] ?? "",
      orderingKey: "orderingKey" in given ? (given.orderingKey ?? "") : "",
      publishTime: this.clock.now(),
      ...("data" in given ? { data: given.data, attributes: given.attributes ?? {} } : encoded(given)),
    });
    return this.#describe(messageId, await ended);
  }

  putInput(name: string, data: Uint8Array | string): void {
    this.#store.put({ bucket: inputBucket, name }, typeof data === "string" ? Buffer.from(data) : data);
  }

  removeInput(name: string): void {
    this.#store.objects.delete(`gs://${inputBucket}/${name}`);
  }

  output(name: string): Uint8Array | undefined {
    return this.#store.objects.get(`gs://${outputBucket}/${name}`)?.data;
  }

  status(): Status {
    return this.#supervisor.status();
  }

  async stop(): Promise<void> {
    await this.#supervisor.drain("the test stops it");
  }

  #start(): Promise<void> {
    this.#started ??= new Promise((resolve, reject) => {
      this.#settleStart = { resolve, reject };
      this.#supervisor.start();
    });
    return this.#started;
  }

  #note(event: RuntimeEvent): void {
    if (event.event === "ready") this.#settleStart?.resolve();
    if (event.event !== "outcome") return;
    // A repetition that came while the first was in hand ends with it.
    const { acknowledged, givenBack } = this.#edges;
    for (const [id, end] of [...this.#waiting]) {
      if (id !== event.message_id && !acknowledged.has(id) && !givenBack.has(id)) continue;
      this.#waiting.delete(id);
      end(event);
    }
  }

  #noting(events: WorkerEvents): WorkerEvents {
    return {
      ...events,
      result: (worker, work, result) => {
        this.#noteResult(work, result);
        events.result(worker, work, result);
      },
    };
  }

  #noteResult(work: Work, { outcome }: Result): void {
    const notes = this.#notesOf(work);
    notes.failure = outcome.case === "failure" ? outcome.value : undefined;
    if (outcome.case !== "done") return;
    notes.objects = outcome.value.objects.map(({ uri, size, generation, write }) => ({
      uri,
      size: Number(size),
      generation: String(generation),
      write: writeNames[write],
      name: uri.slice(`gs://${outputBucket}/`.length),
      data: this.#store.objects.get(uri)?.data ?? new Uint8Array(),
    }));
  }

  #notesOf(work: Work): Notes {
    return this.#notes.get(work.delivery.messageId) ?? { logs: [], metrics: [], failure: undefined, objects: [] };
  }

  #describe(messageId: string, event: OutcomeEvent): TestResult {
    const notes = this.#notes.get(event.message_id);
    const dead = this.#edges.deadLetters.find((m) => m.from === event.message_id);
    const { failure } = notes ?? {};
    return {
      outcome: event.outcome,
      reason: event.reason ?? "",
      error: failure === undefined || event.outcome === "given-back" ? undefined : described(failure),
      attempts: event.attempts,
      charged: event.charged,
      acknowledged: this.#edges.acknowledged.has(messageId),
      messages: this.#edges.published.filter((m) => m.from === event.message_id).map(describeMessage),
      deadLetter: dead === undefined ? undefined : { data: dead.data, attributes: dead.attributes },
      objects: notes?.objects ?? [],
      logs: notes?.logs ?? [],
      metrics: notes?.metrics ?? [],
    };
  }
}

/** An inline worker whose logs and metrics are kept by message. */
class NotedWorker extends InlineWorker {
  constructor(
    options: WorkerOptions,
    events: WorkerEvents,
    make: () => Promise<Performer>,
    readonly notesOf: (work: Work) => Notes,
  ) {
    super(options, events, make);
  }

  protected override sinkOf(work: Work): Sink {
    const sink = super.sinkOf(work);
    const { logs, metrics } = this.notesOf(work);
    return {
      enter: (node, timeoutMs) => {
        sink.enter(node, timeoutMs);
      },
      leave: (node) => {
        sink.leave(node);
      },
      log: (entry) => {
        logs.push(entry);
        sink.log(entry);
      },
      metric: (metric) => {
        metrics.push(metric);
        sink.metric(metric);
      },
    };
  }
}

function encoded({ element, payload = "", force = false, ping = false, klioId }: TestMessage) {
  const request = requestMessage({ element, force, ping });
  if (request.data !== undefined) request.data.payload = Buffer.from(payload);
  return { data: encodeMessage(request), attributes: klioId === undefined ? {} : { [klioIdAttribute]: klioId } };
}

function described({ message, code, stack, kind }: Failure) {
  return { message, code, stack, permanent: kind === Failure_Kind.PERMANENT };
}
