import { isPermanent } from "../api/errors.js";
import type { Item } from "../api/item.js";
import type { GraphNode } from "../api/pipeline.js";
import { sleep } from "../clock.js";
import { messageOf } from "../error-message.js";
import { OvertakenError } from "../objects/upload-rule.js";
import type { CallScope } from "./call-scope.js";
import { makeContext } from "./context.js";
import { NodeError } from "./node-error.js";
import { inNodeSpan } from "./tracing.js";
import { CallTimeout, Turns } from "./turns.js";

/**
 * Calls a node's user code, again as its `retry` says, and hands on what it puts out, one after the other. Throws a
 * {@link NodeError} for what user code throws; what `emit` throws passes as it is.
 */
export async function callNode(
  scope: CallScope,
  node: GraphNode,
  item: Item<unknown>,
  emit: (outcome: unknown) => Promise<void>,
): Promise<void> {
  const turns = new Turns(scope, node);
  const userCall = { id: scope.nextCall(), attempt: 1 };
  const context = makeContext(scope, node, item, turns, userCall);
  /** What user code put out, or undefined when it is called again. */
  const next = async (step: () => unknown, first: boolean): Promise<{ readonly value: unknown } | undefined> => {
    try {
      return { value: await turns.run(step) };
    } catch (error) {
      if (!first || !mayTryAgain(scope, node, userCall.attempt, error)) throw new NodeError(node.path, error);
      const { retryDelayMs, tries } = node.transform;
      const message = messageOf(error);
      context.logger.warn(`try ${userCall.attempt} of ${tries} failed, again in ${retryDelayMs} ms: ${message}`);
      await sleep(scope.engine.clock, retryDelayMs, scope.input.cancellation.signal);
      return undefined;
    }
  };
  for (; ; userCall.attempt += 1) {
    scope.input.cancellation.throwIfAborted();
    turns.begin();
    const result = await next(() => inNodeSpan(node.path, () => node.transform.process(item as never, context)), true);
    if (result === undefined) continue;
    if (!isAsyncIterable(result.value)) return emit(result.value);
    if (await emitAll(result.value[Symbol.asyncIterator](), next, emit)) return;
  }
}

/** Whether the generator came to its end; if not, it failed before its first output and is called again. */
async function emitAll(
  iterator: AsyncIterator<unknown>,
  next: (step: () => unknown, first: boolean) => Promise<{ readonly value: unknown } | undefined>,
  emit: (outcome: unknown) => Promise<void>,
): Promise<boolean> {
  for (let first = true; ; first = false) {
    const step = await next(() => iterator.next(), first);
    if (step === undefined) return false;
    const { done, value } = step.value as { readonly done?: boolean; readonly value: unknown };
    if (done === true) return true;
    try {
      await emit(value);
    } catch (error) {
      await iterator.return?.().then(undefined, () => undefined);
      throw error;
    }
  }
}

function mayTryAgain({ input }: CallScope, { transform }: GraphNode, attempt: number, error: unknown): boolean {
  if (attempt >= transform.tries || input.cancellation.reason !== undefined) return false;
  if (error instanceof CallTimeout) return !error.abandoned;
  return !isPermanent(error) && !(error instanceof OvertakenError);
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}
