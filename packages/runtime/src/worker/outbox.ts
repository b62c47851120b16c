import { create } from "@bufbuild/protobuf";
import {
  type Failure,
  Failure_Kind,
  type Metric,
  type Result,
  ResultSchema,
  type SupervisorFrame,
  type WorkerFrame,
  WorkerFrameSchema,
} from "../../gen/worker_pb.js";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { fieldsJson, logText } from "../engine/log-text.js";
import type { MetricReport } from "../api/metrics.js";
import type { LogEntry, Sink } from "../engine/sink.js";
import { resultBytes } from "../protocol/codec.js";
import { toMetric } from "./results.js";
import { type FrameChannel, maxFrameBytes, piecesOf, sharedFrameBytes } from "../protocol/frames.js";

/** No result and no metric is larger, in bytes. */
const largestBytes = maxFrameBytes - sharedFrameBytes;

/** What a worker says: results and metrics of one turn of the event loop travel together, each in as few frames as hold them. */
export class Outbox {
  #results: Result[] = [];
  #metrics: Metric[] = [];
  readonly #entered = new Map<bigint, string>();
  #scheduled = false;

  constructor(readonly channel: FrameChannel<WorkerFrame, SupervisorFrame>) {}

  hello(protocol: number, runtimeVersion: string): void {
    this.#send({ case: "hello", value: { protocol, runtimeVersion, pid: process.pid } });
  }

  ready(graphDigest: string, credit: number, creditBytes: number): void {
    this.#send({ case: "ready", value: { graphDigest, credit, creditBytes: BigInt(creditBytes) } });
  }

  fatal(failure: Failure): void {
    this.#send({ case: "fatal", value: { failure } });
  }

  heartbeat(): void {
    this.#send({ case: "heartbeat", value: { rssBytes: BigInt(process.memoryUsage.rss()) } });
  }

  acquire(ticket: number, limit: string, size: number): void {
    this.#send({ case: "acquire", value: { ticket, limit, size } });
  }

  release(ticket: number): void {
    this.#send({ case: "release", value: { ticket } });
  }

  result(result: Result): void {
    this.#entered.delete(result.id);
    this.#results.push(resultBytes(result) > largestBytes ? tooLarge(result) : result);
    this.#flushSoon();
  }

  sinkOf(id: bigint): Sink {
    return new OutboxSink(this, id);
  }

  log(id: bigint, { severity, message, fields, node }: LogEntry): void {
    const value = { id, severity, node, message: logText(message), fieldsJson: fieldsJson(fields) };
    this.#send({ case: "log", value });
  }

  metric(id: bigint, report: MetricReport): void {
    const metric = toMetric(report);
    if (metricBytes(metric) > largestBytes) {
      const message = "a metric is left out: its name and tags are longer than a worker may send";
      this.log(id, { severity: "WARNING", message, fields: {}, node: report.node });
      return;
    }
    this.#metrics.push(metric);
    this.#flushSoon();
  }

  enter(id: bigint, node: string, timeoutMs: number): void {
    if (timeoutMs > 0) {
      this.#entered.delete(id); // it has left that one: told later, it would be taken for where it is
      // At once: user code may block the event loop from here on.
      this.#send({ case: "enter", value: { id, node, timeoutMs } });
      return;
    }
    this.#entered.set(id, node);
    this.#flushSoon();
  }

  leave(id: bigint, node: string): void {
    this.#send({ case: "leave", value: { id, node } });
  }

  #flushSoon(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      // Only those that are still there: what is over by now needs no word of where it was.
      for (const [id, node] of this.#entered) this.#send({ case: "enter", value: { id, node } });
      this.#entered.clear();
      for (const metrics of piecesOf(this.#metrics.splice(0), metricBytes)) {
        this.#send({ case: "metrics", value: { metrics } });
      }
      for (const results of piecesOf(this.#results.splice(0), resultBytes)) {
        const value = { $typeName: "klio.worker.v1.Results", results } as const;
        this.channel.send({ $typeName: "klio.worker.v1.WorkerFrame", frame: { case: "results", value } });
      }
    });
  }

  #send(frame: MessageInitShape<typeof WorkerFrameSchema>["frame"]): void {
    this.channel.send(create(WorkerFrameSchema, frame === undefined ? {} : { frame }));
  }
}

/** What one attempt tells. */
class OutboxSink implements Sink {
  constructor(
    readonly outbox: Outbox,
    readonly id: bigint,
  ) {}

  log(entry: LogEntry): void {
    this.outbox.log(this.id, entry);
  }

  metric(metric: MetricReport): void {
    this.outbox.metric(this.id, metric);
  }

  enter(node: string, timeoutMs: number): void {
    this.outbox.enter(this.id, node, timeoutMs);
  }

  leave(node: string): void {
    this.outbox.leave(this.id, node);
  }
}

/** At most so many bytes: a character of JavaScript's has three in UTF-8. */
function metricBytes({ name, node, tags }: Metric): number {
  let characters = name.length + node.length;
  for (const [key, value] of Object.entries(tags)) characters += key.length + value.length + 10;
  return characters * 3 + 50;
}

function tooLarge({ id, durationUs }: Result): Result {
  const message = "its outputs are together larger than a worker may answer with: put them into objects";
  const value = { kind: Failure_Kind.PERMANENT, code: "OUTPUT_TOO_LARGE", message };
  return create(ResultSchema, { id, durationUs, outcome: { case: "failure", value } });
}
