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

/** The span of one call of a node's user code: from its first step to its end, which of a generator is that of the last. */
export class CallSpan {
  #span: Span | undefined;
  #over = false;

  constructor(readonly node: string) {}

  /** Runs a step of the call, so that spans it starts lie below this one. */
  run<T>(step: () => T): T {
    if (this.#over || trace.getActiveSpan() === undefined) return step();
    this.#span ??= tracer.startSpan(this.node, { attributes: { "klio.node": this.node } });
    return context.with(trace.setSpan(context.active(), this.#span), step);
  }

  /** The call failed, and has come to its end. */
  fail(error: unknown): void {
    this.#span?.recordException(error instanceof Error ? error : String(error));
    this.#span?.setStatus({ code: SpanStatusCode.ERROR });
    this.end();
  }

  end(): void {
    this.#over = true;
    this.#span?.end();
    this.#span = undefined;
  }
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
