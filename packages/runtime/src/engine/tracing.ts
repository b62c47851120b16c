import {
  context,
  createTraceState,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
} from "@opentelemetry/api";

/** Trace context as https://www.w3.org/TR/trace-context/ writes it. */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate: string;
}

export interface MessageFacts {
  readonly job: string;
  readonly element: string;
  readonly klioId: string;
  readonly attempt: number;
}

// The API does nothing until the job registers a provider (docs/guide/metrics.md).
const tracer = trace.getTracer("@klio/runtime");

/** Runs `body` in a span for a message. Its argument is the trace that what it puts out belongs to. */
export function inMessageSpan<T>(
  parent: TraceContext | undefined,
  facts: MessageFacts,
  body: (own: TraceContext | undefined) => Promise<T>,
): Promise<T> {
  const remote = parent === undefined ? ROOT_CONTEXT : withRemote(parent);
  // Names and attributes: https://opentelemetry.io/docs/specs/semconv/messaging/
  const attributes = {
    "messaging.system": "gcp_pubsub",
    "messaging.operation.type": "process",
    "klio.job": facts.job,
    "klio.element": facts.element,
    "klio.id": facts.klioId,
    "klio.attempt": facts.attempt,
  };
  const span = tracer.startSpan(`process ${facts.job}`, { kind: SpanKind.CONSUMER, attributes }, remote);
  if (!span.isRecording()) return body(parent); // no provider, or not sampled: the trace goes on as it came
  return context
    .with(trace.setSpan(remote, span), () => body(written(span)))
    .finally(() => {
      span.end();
    });
}

/** Tells the span of the message at hand that it failed. */
export function markFailed(error: { readonly message: string; readonly code: string }): void {
  const span = trace.getActiveSpan();
  span?.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
  span?.setAttribute("error.type", error.code);
}

/** Runs `body` in a span for a call of a node's user code. */
export function inNodeSpan(node: string, body: () => unknown): unknown {
  if (trace.getActiveSpan() === undefined) return body();
  return tracer.startActiveSpan(node, { attributes: { "klio.node": node } }, async (span) => {
    try {
      return await body();
    } catch (error) {
      span.recordException(error instanceof Error ? error : String(error));
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span.end();
    }
  });
}

function withRemote({ traceparent, tracestate }: TraceContext) {
  const match = /^[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})/.exec(traceparent);
  if (match === null) return ROOT_CONTEXT;
  const [, traceId = "", spanId = "", flags = ""] = match;
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
    ...(tracestate === "" ? {} : { traceState: createTraceState(tracestate) }),
  });
}

function written(span: Span): TraceContext {
  const { traceId, spanId, traceFlags, traceState } = span.spanContext();
  const flags = (traceFlags & TraceFlags.SAMPLED).toString(16).padStart(2, "0");
  return { traceparent: `00-${traceId}-${spanId}-${flags}`, tracestate: traceState?.serialize() ?? "" };
}
