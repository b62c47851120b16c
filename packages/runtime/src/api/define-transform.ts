import type { Context } from "./context.js";
import type { Item } from "./item.js";
import type { Outcome, OutputsOf } from "./outcome.js";

export interface RetryOptions {
  /** Calls in all, the first included. */
  readonly tries: number;
  /** Milliseconds between two calls. Default 0. */
  readonly delayMs?: number;
}

export interface TransformDefinition<In, State, Result extends Outcome> {
  /** Runs once in each worker before the first item; what it returns is `ctx.state`. */
  readonly setup?: () => State | Promise<State>;
  /** Runs when a worker ends in order. */
  readonly teardown?: (state: State) => void | Promise<void>;
  /** Calls `process` again within one attempt when it throws. Not for generators. */
  readonly retry?: RetryOptions;
  /** One item in; one item, `skip(…)` or `tag(…)` out, or several from an async generator. */
  process(item: Item<In>, ctx: Context<State>): Result | Promise<Result> | AsyncGenerator<Result, void, undefined>;
}

/** One step of a job. `Outputs` maps each tag to its payload; untagged outputs are under `main`. */
export interface Transform<In, Outputs> {
  readonly name: string;
  readonly retry: RetryOptions | undefined;
  readonly setup: (() => unknown) | undefined;
  readonly teardown: ((state: never) => void | Promise<void>) | undefined;
  readonly process: (item: Item<In>, ctx: Context<never>) => unknown;
  /** Only for the compiler. */
  readonly outputs?: Outputs;
}

/**
 * Defines a step. Parameters go through a closure: `export const plot = (o: Options) => defineTransform("plot", {…})`.
 * Throws a TypeError when the name is empty or holds a slash.
 */
export function defineTransform<In = Uint8Array, State = undefined, Result extends Outcome = never>(
  name: string,
  definition: TransformDefinition<In, State, Result>,
): Transform<In, OutputsOf<Result>> {
  checkName(name);
  const { retry, setup, teardown } = definition;
  if (retry !== undefined && !(Number.isInteger(retry.tries) && retry.tries > 0)) {
    throw new TypeError(`transform "${name}": retry.tries is a whole number from 1, not ${retry.tries}`);
  }
  return {
    name,
    retry,
    setup,
    teardown: teardown,
    process: (item, ctx) => definition.process(item, ctx),
  };
}

export function checkName(name: string): void {
  if (!/^[\w.-]{1,100}$/.test(name)) {
    throw new TypeError(`a node's name has 1 to 100 letters, digits, and ._-: ${JSON.stringify(name)}`);
  }
}
