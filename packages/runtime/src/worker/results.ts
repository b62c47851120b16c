import {
  Done_Kind,
  Failure_Kind,
  type Metric,
  Metric_Kind,
  type NodeTime,
  type Object$,
  Object_Write,
  type Output,
  type Result,
} from "../../gen/worker_pb.js";
import type { MetricReport } from "../api/metrics.js";
import type { AttemptFailure, AttemptOutput, AttemptResult } from "../engine/attempt.js";

const failureKinds: Readonly<Record<AttemptFailure["kind"], Failure_Kind>> = {
  error: Failure_Kind.ERROR,
  permanent: Failure_Kind.PERMANENT,
  overtaken: Failure_Kind.OVERTAKEN,
  cancelled: Failure_Kind.CANCELLED,
  timeout: Failure_Kind.TIMEOUT,
  storage: Failure_Kind.STORAGE,
};

const doneKinds = {
  processed: Done_Kind.PROCESSED,
  "passed-through": Done_Kind.PASSED_THROUGH,
  skipped: Done_Kind.SKIPPED,
} as const;

const writes = { uploaded: Object_Write.UPLOADED, adopted: Object_Write.ADOPTED, kept: Object_Write.KEPT } as const;

/** An attempt's result as the protocol carries it. */
export function toResult(id: bigint, durationMs: number, result: AttemptResult): Result {
  return {
    $typeName: "klio.worker.v1.Result",
    id,
    durationUs: microseconds(durationMs),
    outcome: outcomeOf(result),
    nodes: result.nodes.map(({ node, ms, calls }): NodeTime => {
      return { $typeName: "klio.worker.v1.NodeTime", node, calls, durationUs: microseconds(ms) };
    }),
    bytesRead: BigInt(result.bytesRead),
  };
}

const metricKinds = { counter: Metric_Kind.COUNTER, gauge: Metric_Kind.GAUGE, timer: Metric_Kind.TIMER } as const;

/** What user code reported, as the protocol carries it. */
export function toMetric({ kind, name, node, tags, value }: MetricReport): Metric {
  return { $typeName: "klio.worker.v1.Metric", kind: metricKinds[kind], name, node, value, tags: { ...tags } };
}

/** The answer for an attempt that took too long and was given up. */
export function toFailure(id: bigint, code: string, message: string): Result {
  const failure = { kind: "timeout", code, message, stack: "", node: "" } as const;
  return toResult(id, 0, { kind: "failed", failure, nodes: [], bytesRead: 0, trace: undefined });
}

function outcomeOf(result: AttemptResult): Result["outcome"] {
  if (result.kind === "failed") {
    const kind = failureKinds[result.failure.kind];
    return { case: "failure", value: { $typeName: "klio.worker.v1.Failure", ...result.failure, kind } };
  }
  const value = {
    $typeName: "klio.worker.v1.Done",
    kind: doneKinds[result.kind],
    reason: result.reason,
    outputs: result.outputs.map((output) => toOutput(output, result)),
    objects: result.objects.map((o): Object$ => {
      const size = BigInt(o.size);
      const generation = BigInt(o.generation);
      return { $typeName: "klio.worker.v1.Object", uri: o.uri, size, generation, write: writes[o.write] };
    }),
  } as const;
  return { case: "done", value };
}

function toOutput({ node, tag, index, element, payload }: AttemptOutput, { kind, trace }: AttemptResult): Output {
  return {
    $typeName: "klio.worker.v1.Output",
    node,
    tag,
    index,
    element: Buffer.from(element),
    payload,
    passThrough: kind === "passed-through",
    trace: trace === undefined ? undefined : { $typeName: "klio.worker.v1.Trace", ...trace },
  };
}

function microseconds(ms: number): bigint {
  return BigInt(Math.round(ms * 1_000));
}
