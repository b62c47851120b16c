import type { Context } from "./context.js";
import { type Duration, milliseconds } from "./duration.js";
import type { Item } from "./item.js";
import type { Outcome, OutputsOf } from "./outcome.js";

export interface RetryOptions {
  /** Calls in all, the first included: a whole number from 1. */
  readonly tries: number;
  /** Between two calls. Default: none. */
  readonly delay?: Duration;
}

/** A step: its work, and how it is called. */
export interface TransformDefinition<In, State, Result extends Outcome> {
  /**
   * Runs once in each worker, for each node, before the first item; what it returns is `ctx.state`. When it throws as the job
   * starts, the job ends (`SETUP`); later, the worker is started again.
   */
  readonly setup?: () => State | Promise<State>;
  /** Runs when a worker ends in order; a job that stops waits two seconds for it. */
  readonly teardown?: (state: State) => void | Promise<void>;
  /** Calls `process` again within one attempt when it throws or takes too long. A generator is called again only before its first output. */
  readonly retry?: RetryOptions;
  /**
   * How long one call may take; waiting for `limit`, and what follows a generator's output, do not count. Then `ctx.signal`
   * aborts; a call that goes on all the same is ended with its worker and every program it started.
   */
  readonly timeout?: Duration;
  /**
   * How many calls may run at once in all workers of the job together. A name instead of a number is a limit of
   * `workers.limits` in klio-job.yaml, which several transforms can share.
   */
  readonly limit?: number | string;
  /**
   * The work. What it throws is an attempt that failed; a {@link PermanentError} ends the message at once.
   * One item in; one item, `skip(…)` or `tag(…)` out, or several from an async generator.
   */
  process(item: Item<In>, ctx: Context<State>): Result | Promise<Result> | AsyncGenerator<Result, void, undefined>;
}

/** One step of a job. `Outputs` maps each tag to its payload; untagged outputs are under `main`. */
export interface Transform<In, Outputs> {
  readonly name: string;
  readonly tries: number;
  /** Milliseconds between two tries. */
  readonly retryDelayMs: number;
  /** Milliseconds; 0: no limit. */
  readonly timeoutMs: number;
  readonly limit: number | string | undefined;
  readonly setup: (() => unknown) | undefined;
  readonly teardown: ((state: never) => void | Promise<void>) | undefined;
  readonly process: (item: Item<In>, ctx: Context<never>) => unknown;
  /** Only for the compiler. */
  readonly outputs?: Outputs;
}

/**
 * Defines a step. Parameters go through a closure: `export const plot = (o: Options) => defineTransform("plot", {…})`.
 * Throws a TypeError when the name, a number or a duration is not of its form.
 */
export function defineTransform<In = Uint8Array, State = undefined, Result extends Outcome = never>(
  name: string,
  definition: TransformDefinition<In, State, Result>,
): Transform<In, OutputsOf<Result>> {
  checkName(name);
  const { retry, setup, teardown, timeout, limit } = definition;
  const of = `transform "${name}":`;
  return {
    name,
    tries: retry === undefined ? 1 : atLeastOne(retry.tries, `${of} retry.tries`),
    retryDelayMs: milliseconds(retry?.delay ?? 0, `${of} retry.delay`),
    timeoutMs: timeout === undefined ? 0 : atLeastOne(milliseconds(timeout, `${of} timeout`), `${of} timeout`),
    limit: typeof limit === "number" ? atLeastOne(limit, `${of} limit`) : limit,
    setup,
    teardown,
    process: (item, ctx) => definition.process(item, ctx),
  };
}

function atLeastOne(value: number, what: string): number {
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new TypeError(`${what} is a whole number from 1, not ${value}`);
}

export function checkName(name: string): void {
  if (!/^[\w.-]{1,100}$/.test(name)) {
    throw new TypeError(`a node's name has 1 to 100 letters, digits, and ._-: ${JSON.stringify(name)}`);
  }
}
