import { create } from "@bufbuild/protobuf";
import { Done_Kind, Failure_Kind, Object_Write, type Result, ResultSchema } from "../../gen/worker_pb.js";
import type { AttemptFailure, AttemptResult } from "../engine/attempt.js";

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
  const taken = {
    id,
    durationUs: microseconds(durationMs),
    nodes: result.nodes.map(({ node, ms, calls }) => ({ node, calls, durationUs: microseconds(ms) })),
    bytesRead: BigInt(result.bytesRead),
  };
  if (result.kind === "failed") {
    const { failure } = result;
    const value = { ...failure, kind: failureKinds[failure.kind] };
    return create(ResultSchema, { ...taken, outcome: { case: "failure", value } });
  }
  const outputs = result.outputs.map((o) => ({
    ...o,
    element: Buffer.from(o.element),
    passThrough: result.kind === "passed-through",
    ...(result.trace === undefined ? {} : { trace: { ...result.trace } }),
  }));
  const objects = result.objects.map((o) => ({
    uri: o.uri,
    size: BigInt(o.size),
    generation: BigInt(o.generation),
    write: writes[o.write],
  }));
  const value = { kind: doneKinds[result.kind], reason: result.reason, outputs, objects };
  return create(ResultSchema, { ...taken, outcome: { case: "done", value } });
}

/** The answer for an attempt that took too long and was given up. */
export function toFailure(id: bigint, code: string, message: string): Result {
  const value = { kind: Failure_Kind.TIMEOUT, code, message };
  return create(ResultSchema, { id, outcome: { case: "failure", value } });
}

function microseconds(ms: number): bigint {
  return BigInt(Math.round(ms * 1_000));
}
