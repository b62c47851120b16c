import { isPermanent } from "../api/errors.js";
import type { Logger } from "../api/context.js";
import type { Item } from "../api/item.js";
import type { GraphNode } from "../api/pipeline.js";
import { sleep } from "../clock.js";
import { messageOf } from "../error-message.js";
import { OvertakenError } from "../objects/upload-rule.js";
import type { CallScope } from "./call-scope.js";
import { CallContext } from "./context.js";
import { Generated, isAsyncIterable } from "./generated.js";
import { NodeError } from "./node-error.js";
import { CallSpan } from "./tracing.js";
import { CallTimeout, Turns } from "./turns.js";
import { UserCall } from "./user-call.js";

/** Takes what user code puts out. A promise where that takes a while. */
export type Emit = (outcome: unknown) => Promise<void> | undefined;

/**
 * Calls a node's user code, again as its `retry` says, and hands on what it puts out, one after the other. Throws a
 * {@link NodeError} for what user code throws; what `emit` throws passes as it is.
 */
export async function callNode(scope: CallScope, node: GraphNode, item: Item<unknown>, emit: Emit): Promise<void> {
  const turns = new Turns(scope, node);
  const call = new UserCall();
  const context = new CallContext(scope, node, item, turns, call);
  for (;;) {
    scope.input.cancellation.throwIfAborted();
    turns.begin();
    const span = new CallSpan(node.path);
    let value: unknown;
    let several: Generated | undefined;
    let first: IteratorResult<unknown> | undefined;
    try {
      value = await turns.run(() => span.run(() => node.transform.process(item as never, context)));
      if (isAsyncIterable(value)) {
        several = new Generated(value, turns, span);
        first = await several.next();
      }
    } catch (error) {
      span.fail(error);
      await untilNextTry(scope, node, call, context.logger, error);
      continue;
    }
    if (several === undefined || first === undefined) {
      span.end();
      call.returned();
      return emit(value);
    }
    await emitAll(node, several, first, emit);
    call.returned();
    return;
  }
}

/** Hands on what a generator puts out, from its first output on: from there it is not called again. */
async function emitAll(node: GraphNode, several: Generated, first: IteratorResult<unknown>, emit: Emit): Promise<void> {
  for (let step = first; step.done !== true;) {
    try {
      await emit(step.value);
    } catch (error) {
      await several.close();
      several.span.end();
      throw error;
    }
    try {
      step = await several.next();
    } catch (error) {
      throw new NodeError(node.path, error);
    }
  }
}

/** Waits until user code that failed is called again; throws what it threw when it is not. */
async function untilNextTry(
  scope: CallScope,
  node: GraphNode,
  call: UserCall,
  logger: Logger,
  error: unknown,
): Promise<void> {
  const ended = call.failed();
  if (!mayTryAgain(scope, node, call.attempt, error)) throw new NodeError(node.path, error);
  await ended;
  const { retryDelayMs, tries } = node.transform;
  logger.warn(`try ${call.attempt} of ${tries} failed, again in ${retryDelayMs} ms: ${messageOf(error)}`);
  await sleep(scope.engine.clock, retryDelayMs, scope.input.cancellation.signal);
  call.nextTry();
}

function mayTryAgain({ input }: CallScope, { transform }: GraphNode, attempt: number, error: unknown): boolean {
  if (attempt >= transform.tries || input.cancellation.reason !== undefined) return false;
  if (error instanceof CallTimeout) return !error.abandoned;
  return !isPermanent(error) && !(error instanceof OvertakenError);
}
