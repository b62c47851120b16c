import type { TraceContext } from "../engine/tracing.js";

// The names under which Google's own Pub/Sub clients carry them, so that traces go on across both:
// https://cloud.google.com/pubsub/docs/open-telemetry-tracing
const parentAttribute = "googclient_traceparent";
const stateAttribute = "googclient_tracestate";

/** The trace that a message says it belongs to. */
export function traceOf(attributes: Readonly<Record<string, string>>): TraceContext | undefined {
  const traceparent = attributes[parentAttribute] ?? attributes["traceparent"];
  if (traceparent === undefined) return undefined;
  return { traceparent, tracestate: attributes[stateAttribute] ?? attributes["tracestate"] ?? "" };
}

/** The attributes by which a message says that it belongs to a trace. */
export function traceAttributes(trace: TraceContext | undefined): Readonly<Record<string, string>> {
  if (trace === undefined) return {};
  const { traceparent, tracestate } = trace;
  return { [parentAttribute]: traceparent, ...(tracestate === "" ? {} : { [stateAttribute]: tracestate }) };
}
