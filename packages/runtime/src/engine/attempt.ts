import { InputNotFoundError, isPermanent, PermanentError } from "../api/errors.js";
import { leavingBytes } from "../api/leaving.js";
import type { UploadedObject } from "../api/uploaded-object.js";
import { messageOf } from "../error-message.js";
import { type KlioMessage, elementOf } from "../message/index.js";
import { objectPath } from "../objects/location.js";
import { isStorageTrouble } from "../objects/storage-error.js";
import { uriOf } from "../objects/store.js";
import { judge, OvertakenError, type Request } from "../objects/upload-rule.js";
import type { Cancellation } from "./cancellation.js";
import type { AttemptInput, Engine } from "./engine.js";
import { ItemObjects } from "./item-objects.js";
import { logText } from "./log-text.js";
import { NodeError } from "./node-error.js";
import { type NodeTime, NodeTimes } from "./node-times.js";
import { GraphRun } from "./run-graph.js";
import type { Sink } from "./sink.js";
import { inMessageSpan, markFailed, type MessageFacts, type TraceContext } from "./tracing.js";
import { CallTimeout } from "./turns.js";

export interface AttemptOutput {
  readonly node: string;
  readonly tag: string;
  readonly index: number;
  readonly element: string;
  readonly payload: Uint8Array;
}

export type AttemptResult = Taken &
  (
    | {
        readonly kind: "processed" | "passed-through" | "skipped";
        readonly reason: string;
        readonly outputs: readonly AttemptOutput[];
        readonly objects: readonly UploadedObject[];
      }
    | { readonly kind: "failed"; readonly failure: AttemptFailure }
  );

/** What an attempt took. */
interface Taken {
  readonly nodes: readonly NodeTime[];
  /** Bytes of input objects. */
  readonly bytesRead: number;
  /** The trace that its outputs belong to. */
  readonly trace: TraceContext | undefined;
}

export interface AttemptFailure {
  readonly kind: "error" | "permanent" | "overtaken" | "cancelled" | "timeout" | "storage";
  readonly code: string;
  readonly message: string;
  readonly stack: string;
  readonly node: string;
}

/** Reason of an abort because an attempt took longer than it may. */
export class AttemptTimeout extends Error {
  override readonly name = "AttemptTimeout";
}

/** Takes one message through the job, once. Never throws: what goes wrong is a failed result. */
export function runAttempt(engine: Engine, input: AttemptInput, sink: Sink): Promise<AttemptResult> {
  return inMessageSpan(input.trace, factsOf(engine, input), (trace) => attempt(engine, input, sink, trace));
}

async function attempt(
  engine: Engine,
  input: AttemptInput,
  sink: Sink,
  trace: TraceContext | undefined,
): Promise<AttemptResult> {
  const times = new NodeTimes();
  const objects = new ItemObjects(engine, requestOf(engine, input), input.cancellation);
  try {
    const { kind, reason, outputs, objects: uploaded } = await throughTheJob(engine, input, sink, objects, times);
    return { kind, reason, outputs, objects: uploaded, nodes: times.all, bytesRead: objects.bytesRead, trace };
  } catch (error) {
    const failure = describeFailure(objects.overtaken ?? error, input.cancellation);
    markFailed(failure);
    return { kind: "failed", failure, nodes: times.all, bytesRead: objects.bytesRead, trace };
  } finally {
    if (objects.used) await cleanUp(objects, sink);
  }
}

async function cleanUp(objects: ItemObjects, sink: Sink): Promise<void> {
  try {
    await objects.cleanUp();
  } catch (error) {
    const message = `temporary files could not be removed: ${String(error)}`;
    sink.log({ severity: "WARNING", message, fields: {}, node: "" });
  }
}

async function throughTheJob(
  engine: Engine,
  input: AttemptInput,
  sink: Sink,
  objects: ItemObjects,
  times: NodeTimes,
): Promise<Ended> {
  const { data, events } = engine.config.job_config;
  const element = elementOf(input.message);
  const [output] = data.outputs;
  if (output !== undefined) {
    const path = objectPath(output.location, element, output.file_suffix);
    const finding = judge(await engine.store.stat(path, objects.signal), objects.request);
    if (finding.kind === "keep") return passThrough(input.message, element, `the output exists: ${uriOf(path)}`);
    objects.remember(path, finding);
  }
  await checkInput(engine, element, objects);
  const run = new GraphRun({ engine, input, objects, sink, times });
  await run.start(element);
  if (objects.used) await objects.settle();
  const { outputs, skips } = run;
  if (objects.overtaken !== undefined) throw objects.overtaken;
  const leaving = outputs.map(({ node, tag, index, element, payload }) => {
    return { node, tag, index, element, payload: leavingFrom(node, payload) };
  });
  const sent = events.outputs.length === 0 ? [] : leaving;
  const kind = leaving.length === 0 && skips.length > 0 ? "skipped" : "processed";
  return { kind, reason: skips.join("; "), outputs: sent, objects: objects.uploaded };
}

function leavingFrom(node: string, payload: unknown): Uint8Array {
  try {
    return leavingBytes(payload);
  } catch (error) {
    throw new NodeError(node, error);
  }
}

function requestOf(engine: Engine, { klioId, message }: AttemptInput): Request {
  const [output] = engine.config.job_config.data.outputs;
  // Without its existence check an output is recomputed, as if every message were forced.
  const always = output?.force === true || output?.skip_klio_existence_check === true;
  return { id: klioId, force: always || (message.metadata?.force ?? false) };
}

function factsOf(engine: Engine, { klioId, attempt, message }: AttemptInput): MessageFacts {
  // For people to read: what is no text cannot be processed anyway.
  const element = Buffer.from(message.data?.element ?? new Uint8Array()).toString();
  return { job: engine.config.job_name, element, klioId, attempt };
}

type Ended = Omit<Extract<AttemptResult, { readonly outputs: unknown }>, keyof Taken>;

function passThrough(message: KlioMessage, element: string, reason: string): Ended {
  const payload = message.data?.payload ?? new Uint8Array();
  return {
    kind: "passed-through",
    reason,
    outputs: [{ node: "input", tag: "pass-through", index: 0, element, payload }],
    objects: [],
  };
}

async function checkInput(engine: Engine, element: string, objects: ItemObjects): Promise<void> {
  const [input] = engine.config.job_config.data.inputs;
  if (input === undefined || input.skip_klio_existence_check) return;
  const path = objectPath(input.location, element, input.file_suffix);
  const state = await engine.store.stat(path, objects.signal);
  if (state === undefined) throw new InputNotFoundError(uriOf(path));
  objects.rememberInput(path, state);
}

function describeFailure(error: unknown, { reason }: Cancellation): AttemptFailure {
  const node = error instanceof NodeError ? error.node : "";
  const cause: unknown = error instanceof NodeError ? error.cause : error;
  const described = {
    code: codeOf(cause),
    message: logText(messageOf(cause)),
    stack: cause instanceof Error ? logText(stackOf(cause)) : "",
    node,
  };
  if (cause instanceof CallTimeout) return { ...described, kind: "timeout" };
  if (cause instanceof OvertakenError) return { ...described, kind: "overtaken" };
  if (reason !== undefined) {
    return reason instanceof AttemptTimeout
      ? { ...described, kind: "timeout", code: "TIMEOUT", message: reason.message }
      : { ...described, kind: "cancelled" };
  }
  if (isPermanent(cause) || isUndecodable(cause)) return { ...described, kind: "permanent" };
  return { ...described, kind: isStorageTrouble(cause) ? "storage" : "error" };
}

function isUndecodable(error: unknown): boolean {
  return error instanceof Error && error.name === "UndecodableError";
}

function codeOf(error: unknown): string {
  if (error instanceof PermanentError) return error.code;
  const code: unknown = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  return typeof code === "string" || typeof code === "number" ? String(code) : "ERROR";
}

/** A chain of causes may lead back to itself. */
const mostCauses = 20;

function stackOf(error: Error, causes = mostCauses): string {
  const stack: unknown = error.stack;
  const own = typeof stack === "string" ? stack : messageOf(error);
  if (!(error.cause instanceof Error) || causes === 0) return own;
  return `${own}\ncaused by ${stackOf(error.cause, causes - 1)}`;
}
