import { create } from "@bufbuild/protobuf";
import { LogSchema, type Result } from "../../gen/worker_pb.js";
import { fieldsJson, logText } from "../engine/log-text.js";
import { fewAtATime } from "../engine/few-at-a-time.js";
import type { LogEntry, Sink } from "../engine/sink.js";
import type { MetricReport } from "../api/metrics.js";
import type { Build, Killing, Worker, WorkerEvents, WorkerOptions } from "../supervisor/worker.js";
import type { Work } from "../supervisor/work.js";
import { describeFatal } from "../worker/fatal.js";
import type { Performer } from "../worker/performer.js";
import { toFailure, toMetric, toResult } from "../worker/results.js";

/** Makes what runs a build's code. Throws what loading it, laying it out, or its `setup` throws. */
export type MakePerformer = (build: Build) => Promise<Performer>;

/** Runs the job's code in the supervisor's own process. Nothing protects that from the code, and nobody can end a call. */
export class InlineWorker implements Worker {
  readonly inHand = new Map<bigint, Work>();
  readonly pid = 0;
  readonly quarantine = false;
  readonly killing: Killing | undefined = undefined;
  readonly blocked = false;
  build: Build | undefined;
  useful = false;
  #performer: Performer | undefined;
  #over = false;

  constructor(
    readonly options: WorkerOptions,
    readonly events: WorkerEvents,
    readonly make: MakePerformer,
  ) {}

  get number(): number {
    return this.options.number;
  }

  get ready(): boolean {
    return this.#performer !== undefined && !this.#over;
  }

  get wasReady(): boolean {
    return this.#performer !== undefined;
  }

  get room(): number {
    return this.ready ? Math.max(0, this.options.concurrency - this.inHand.size) : 0;
  }

  get roomBytes(): number {
    return Infinity;
  }

  get graphDigest(): string {
    return this.#performer?.digest ?? "";
  }

  configure(build: Build): void {
    this.build = build;
    this.make(build).then(
      (performer) => {
        if (this.#over) return;
        this.#performer = performer;
        this.events.ready(this);
      },
      (error: unknown) => {
        this.events.fatal(this, describeFatal(error));
      },
    );
  }

  assign(works: readonly Work[]): void {
    for (const work of works) {
      work.starts += 1;
      this.inHand.set(work.id, work);
    }
    fewAtATime(works, (work) => {
      this.#perform(work);
    });
  }

  cancel(work: Work, reason: string): void {
    this.#performer?.cancel(work.id, reason);
  }

  drain(final: boolean): void {
    this.#performer?.drain();
    if (final) void this.#end();
  }

  disown(): void {
    this.inHand.clear();
  }

  /** A message that takes too long is given up: its code goes on, and can write nothing any more. Else it all ends. */
  kill(why?: Killing): void {
    if (why?.work === undefined) {
      void this.#end();
      return;
    }
    const { work, code, message } = why;
    this.#performer?.giveUp(work.id);
    this.#answer(work, work.starts, toFailure(work.id, code, message));
  }

  async #end(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    for (const work of this.inHand.values()) this.cancel(work, "the job is stopping");
    await this.#performer?.tearDown((message) => {
      for (const line of message.split("\n")) this.events.printed(this, "stderr", line);
    });
    this.events.died(this, "it was ended");
  }

  #perform(work: Work): void {
    const { id, klioId, starts: attempt, message, trace } = work;
    const { timeoutMs } = this.options;
    const what = { id, klioId, source: work.delivery.input, attempt, message, timeoutMs, trace };
    this.#performer?.perform(what, this.sinkOf(work), (result, ms) => {
      this.#answer(work, attempt, toResult(id, ms, result));
    });
  }

  #answer(work: Work, attempt: number, result: Result): void {
    // It was disowned, or given up, and perhaps begun again since.
    if (work.starts !== attempt || !this.inHand.delete(work.id)) return;
    this.useful = true;
    this.events.result(this, work, result);
  }

  protected sinkOf(work: Work): Sink {
    return new InlineSink(this, work);
  }
}

/** What one attempt tells. */
class InlineSink implements Sink {
  constructor(
    readonly worker: InlineWorker,
    readonly work: Work,
  ) {}

  log({ severity, message, node, fields }: LogEntry): void {
    const { worker, work } = this;
    const text = { message: logText(message), fieldsJson: fieldsJson(fields) };
    const log = create(LogSchema, { id: work.id, severity, node, ...text });
    worker.events.log(worker, worker.inHand.get(work.id), log);
  }

  metric(metric: MetricReport): void {
    this.worker.events.metrics([toMetric(metric)]);
  }

  enter(node: string): void {
    this.work.node = node;
  }

  leave(): void {
    this.work.node = undefined;
  }
}
