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
export function toResult(id: bigint, durationUs: bigint, result: AttemptResult): Result {
  if (result.kind === "failed") {
    const { failure } = result;
    const value = { ...failure, kind: failureKinds[failure.kind] };
    return create(ResultSchema, { id, durationUs, outcome: { case: "failure", value } });
  }
  const outputs = result.outputs.map((o) => ({
    ...o,
    element: Buffer.from(o.element),
    passThrough: result.kind === "passed-through",
  }));
  const objects = result.objects.map((o) => ({
    uri: o.uri,
    size: BigInt(o.size),
    generation: BigInt(o.generation),
    write: writes[o.write],
  }));
  const value = { kind: doneKinds[result.kind], reason: result.reason, outputs, objects };
  return create(ResultSchema, { id, durationUs, outcome: { case: "done", value } });
}
