import { clone } from "@bufbuild/protobuf";
import { Done_Kind, Object_Write, type Output } from "../../gen/worker_pb.js";
import {
  askParent,
  childId,
  encodeMessage,
  type JobIdentity,
  klioIdAttribute,
  KlioMessageSchema,
  Version,
} from "../message/index.js";
import type { TraceContext } from "../engine/tracing.js";
import type { OutcomeName } from "./outcome-name.js";
import type { OutgoingMessage } from "./output.js";
import { traceAttributes } from "./trace-attributes.js";
import type { Work } from "./work.js";

/** The message for one output of a worker: the input's metadata, the output's element and payload, an id of its own. */
export function outgoing(work: Work, output: Output, job: JobIdentity): OutgoingMessage {
  const { message } = work;
  const element = Buffer.from(output.element).toString();
  const entityId = message.version === Version.V1 ? element : message.data?.entityId;
  const data = message.data && {
    ...message.data,
    element: output.element,
    payload: output.payload,
    entityId: entityId ?? "",
  };
  const id = childId(work.klioId, job.jobName, output.node, output.tag, output.index);
  return toOutgoing(element, encodeMessage({ ...message, data }), id, work, output.trace);
}

/** The message itself, on its way past this job. */
export function passing(work: Work, job: JobIdentity): OutgoingMessage {
  return toOutgoing(
    work.element,
    encodeMessage(work.message),
    childId(work.klioId, job.jobName, "input", "pass-through", 0),
    work,
  );
}

/** The message on its way to a parent job, which is to make the input that is missing here. */
export function upstream(work: Work, parent: JobIdentity, job: JobIdentity): OutgoingMessage {
  const message = clone(KlioMessageSchema, work.message);
  askParent(message, parent, job);
  const id = childId(work.klioId, job.jobName, "input", "upstream", 0);
  return toOutgoing(work.element, encodeMessage(message), id, work);
}

function toOutgoing(
  element: string,
  data: Uint8Array,
  id: string,
  work: Work,
  trace: TraceContext | undefined = work.trace,
): OutgoingMessage {
  const attributes = { [klioIdAttribute]: id, ...traceAttributes(trace) };
  return { element, data, attributes, orderingKey: work.delivery.orderingKey };
}

export const outcomeNames: Readonly<Record<Done_Kind, OutcomeName>> = {
  [Done_Kind.KIND_UNSPECIFIED]: "processed",
  [Done_Kind.PROCESSED]: "processed",
  [Done_Kind.PASSED_THROUGH]: "passed-through",
  [Done_Kind.SKIPPED]: "skipped",
};

export const writeNames: Readonly<Record<Object_Write, "uploaded" | "adopted" | "kept">> = {
  [Object_Write.WRITE_UNSPECIFIED]: "uploaded",
  [Object_Write.UPLOADED]: "uploaded",
  [Object_Write.ADOPTED]: "adopted",
  [Object_Write.KEPT]: "kept",
};
