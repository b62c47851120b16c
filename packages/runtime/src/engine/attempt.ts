import { InputNotFoundError, isPermanent, PermanentError } from "../api/errors.js";
import { leavingBytes } from "../api/leaving.js";
import type { UploadedObject } from "../api/uploaded-object.js";
import { type KlioMessage, elementOf } from "../message/index.js";
import { objectPath } from "../objects/location.js";
import { uriOf } from "../objects/store.js";
import { judge, OvertakenError, type Request } from "../objects/upload-rule.js";
import type { AttemptInput, Engine } from "./engine.js";
import { ItemObjects } from "./item-objects.js";
import { NodeError } from "./node-error.js";
import { runGraph } from "./run-graph.js";
import type { Sink } from "./sink.js";

export interface AttemptOutput {
  readonly node: string;
  readonly tag: string;
  readonly index: number;
  readonly element: string;
  readonly payload: Uint8Array;
}

export type AttemptResult =
  | {
      readonly kind: "processed" | "passed-through" | "skipped";
      readonly reason: string;
      readonly outputs: readonly AttemptOutput[];
      readonly objects: readonly UploadedObject[];
    }
  | { readonly kind: "failed"; readonly failure: AttemptFailure };

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
export async function runAttempt(engine: Engine, input: AttemptInput, sink: Sink): Promise<AttemptResult> {
  const { data, events } = engine.config.job_config;
  let objects: ItemObjects | undefined;
  try {
    const element = elementOf(input.message);
    const [output] = data.outputs;
    const request: Request = {
      id: input.klioId,
      // Without its existence check an output is recomputed, as if every message were forced.
      force:
        (input.message.metadata?.force ?? false) ||
        output?.force === true ||
        output?.skip_klio_existence_check === true,
    };
    objects = new ItemObjects(engine, request, input.signal);
    if (output !== undefined) {
      const path = objectPath(output.location, element, output.file_suffix);
      const finding = judge(await engine.store.stat(path), request);
      if (finding.kind === "keep") {
        return passThrough(input.message, element, `the output exists: ${uriOf(path)}`);
      }
      objects.remember(path, finding);
    }
    await checkInput(engine, element);
    const { outputs, skips } = await runGraph(engine, input, element, objects, sink);
    await objects.settle();
    if (objects.overtaken !== undefined) throw objects.overtaken;
    const leaving = outputs.map((o) => ({ ...o, payload: leavingBytes(o.payload) }));
    const sent = events.outputs.length === 0 ? [] : leaving;
    const kind = leaving.length === 0 && skips.length > 0 ? "skipped" : "processed";
    return { kind, reason: skips.join("; "), outputs: sent, objects: objects.uploaded };
  } catch (error) {
    return { kind: "failed", failure: describeFailure(objects?.overtaken ?? error, input.signal) };
  } finally {
    await objects?.cleanUp().catch((error: unknown) => {
      const message = `temporary files could not be removed: ${String(error)}`;
      sink.log({ severity: "WARNING", message, fields: {}, node: "" });
    });
  }
}

function passThrough(message: KlioMessage, element: string, reason: string): AttemptResult {
  const payload = message.data?.payload ?? new Uint8Array();
  return {
    kind: "passed-through",
    reason,
    outputs: [{ node: "input", tag: "pass-through", index: 0, element, payload }],
    objects: [],
  };
}

async function checkInput(engine: Engine, element: string): Promise<void> {
  const [input] = engine.config.job_config.data.inputs;
  if (input === undefined || input.skip_klio_existence_check) return;
  const path = objectPath(input.location, element, input.file_suffix);
  if ((await engine.store.stat(path)) === undefined) throw new InputNotFoundError(uriOf(path));
}

function describeFailure(error: unknown, signal: AbortSignal): AttemptFailure {
  const node = error instanceof NodeError ? error.node : "";
  const cause: unknown = error instanceof NodeError ? error.cause : error;
  const described = {
    code: codeOf(cause),
    message: cause instanceof Error ? cause.message : String(cause),
    stack: cause instanceof Error ? stackOf(cause) : "",
    node,
  };
  if (cause instanceof OvertakenError) return { ...described, kind: "overtaken" };
  if (signal.aborted) {
    const timedOut = signal.reason instanceof AttemptTimeout;
    return timedOut
      ? { ...described, kind: "timeout", code: "TIMEOUT", message: signal.reason.message }
      : { ...described, kind: "cancelled" };
  }
  if (isPermanent(cause) || isUndecodable(cause)) return { ...described, kind: "permanent" };
  return { ...described, kind: error instanceof NodeError ? "error" : "storage" };
}

function isUndecodable(error: unknown): boolean {
  return error instanceof Error && error.name === "UndecodableError";
}

function codeOf(error: unknown): string {
  if (error instanceof PermanentError) return error.code;
  const code: unknown = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  return typeof code === "string" || typeof code === "number" ? String(code) : "ERROR";
}

function stackOf(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\ncaused by ${stackOf(error.cause)}` : own;
}
