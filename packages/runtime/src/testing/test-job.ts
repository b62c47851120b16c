import { type Failure, Failure_Kind, type Result } from "../../gen/worker_pb.js";
import type { Job } from "../api/define-job.js";
import type { MetricReport } from "../api/metrics.js";
import { layOut } from "../engine/graph.js";
import type { LogEntry, Sink } from "../engine/sink.js";
import { InlineWorker } from "../inline/worker.js";
import { Limits } from "../limits.js";
import { encodeMessage, klioIdAttribute, requestMessage } from "../message/index.js";
import { MemoryStore } from "../objects/memory-store.js";
import type { OutcomeEvent, RuntimeEvent } from "../supervisor/events.js";
import { noObserver } from "../supervisor/observer.js";
import { writeNames } from "../supervisor/outputs.js";
import type { Status } from "../supervisor/status.js";
import { Supervisor } from "../supervisor/supervisor.js";
import type { Work } from "../supervisor/work.js";
import type { WorkerEvents, WorkerOptions } from "../supervisor/worker.js";
import { Performer } from "../worker/performer.js";
import { FakeClock } from "./fake-clock.js";
import { MemoryEdges } from "./memory-edges.js";
import { describeMessage } from "./described-message.js";
import type { RawTestMessage, TestedObject, TestJob, TestMessage, TestResult } from "./test-api.js";
import { inputBucket, outputBucket, testConfig, type TestOptions } from "./test-config.js";

/** What is told of a message's end. */
type Ended = Pick<OutcomeEvent, "message_id" | "outcome" | "reason" | "attempts" | "charged">;

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
  readonly clock = new FakeClock(Date.UTC(2026, 0, 1), () => this.#inHand());
  readonly #store = new MemoryStore();
  readonly #edges: MemoryEdges;
  readonly #supervisor: Supervisor;
  readonly #notes = new Map<string, Notes>();
  readonly #waiting = new Map<string, (event: Ended) => void>();
  #started: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;
  /** Why the job cannot run, as user code threw it. */
  #thrown: unknown;
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
    const parts = { job, config, store: this.#store, clock: this.clock.ofAttempts, limits, abandonAfterMs: 0 };
    const make = async () => {
      try {
        return await Performer.make({ ...parts, graph: await layOut(job, config) });
      } catch (error) {
        this.#thrown = error;
        throw error;
      }
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
        this.#settleStart?.reject(this.#thrown instanceof Error ? this.#thrown : new Error(message));
      },
      onEnd: () => undefined,
    });
  }

  async send(message: string | TestMessage | RawTestMessage): Promise<TestResult> {
    await this.#start();
    this.#sent += 1;
    const messageId = `test-${this.#sent}`;
    this.#notes.set(messageId, { logs: [], metrics: [], failure: undefined, objects: [] });
    if (this.#stopped !== undefined) return this.#describe(messageId, unsent(messageId));
    const ended = new Promise<Ended>((resolve) => this.#waiting.set(messageId, resolve));
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

  stop(): Promise<void> {
    this.#stopped ??= this.#supervisor.drain("the test stops it").then(() => {
      // What came while the job paused it has never received.
      for (const [id, end] of this.#waiting) end(unsent(id));
      this.#waiting.clear();
    });
    this.#settleStart?.resolve(); // what waits for it to begin waits no longer
    return this.#stopped;
  }

  #start(): Promise<void> {
    if (this.#stopped !== undefined) return this.#started ?? this.#stopped;
    this.#started ??= new Promise((resolve, reject) => {
      this.#settleStart = { resolve, reject };
      this.#supervisor.start();
    });
    return this.#started;
  }

  #inHand(): number {
    return this.#supervisor.workers().reduce((sum, worker) => sum + worker.inHand.size, 0);
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
        this.clock.resume();
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

  #describe(messageId: string, event: Ended): TestResult {
    const notes = this.#notes.get(event.message_id);
    const { published, upstream, deadLetters } = this.#edges;
    const own = (message: { readonly from: string }) => message.from === event.message_id;
    const dead = deadLetters.find(own);
    const { failure } = notes ?? {};
    return {
      outcome: event.outcome,
      reason: event.reason ?? "",
      error: failure === undefined || event.outcome === "given-back" ? undefined : described(failure),
      attempts: event.attempts,
      charged: event.charged,
      acknowledged: this.#edges.acknowledged.has(messageId),
      messages: published.filter(own).map(describeMessage),
      upstream: upstream.filter(own).map((m) => ({ ...describeMessage(m), parent: m.to })),
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

/** The end of a message that came when the job had stopped. */
function unsent(messageId: string): Ended {
  return { message_id: messageId, outcome: "given-back", reason: "the job was stopped", attempts: 0, charged: 0 };
}

function described({ message, code, stack, kind }: Failure) {
  return { message, code, stack, permanent: kind === Failure_Kind.PERMANENT };
}
