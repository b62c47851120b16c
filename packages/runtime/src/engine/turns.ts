import type { GraphNode } from "../api/pipeline.js";
import type { CallScope } from "./call-scope.js";

/** A call of user code took longer than its transform allows. */
export class CallTimeout extends Error {
  override readonly name = "CallTimeout";
  readonly code = "TIMEOUT";
  /** It goes on all the same, and nobody waits for it any more. */
  abandoned = false;

  constructor(node: string, timeoutMs: number) {
    super(`it took longer than ${timeoutMs} ms (timeout of transform "${node}")`);
  }
}

/** The turns in which one node's user code runs for one item: each has a place in the node's limit and a share of its time. */
export class Turns {
  #controller: AbortController | undefined;
  #signal: AbortSignal | undefined;
  #leftMs = 0;
  /** Whether the next step is a call of user code, and not one further in a generator. */
  #isCall = true;

  constructor(
    readonly scope: CallScope,
    readonly node: GraphNode,
  ) {}

  /** A new try: its time begins afresh. */
  begin(): void {
    const { timeoutMs } = this.node.transform;
    this.#isCall = true;
    if (timeoutMs === 0) return;
    this.#leftMs = timeoutMs;
    this.#controller = new AbortController();
    this.#signal = AbortSignal.any([this.scope.input.cancellation.signal, this.#controller.signal]);
  }

  /** Aborts when the time of the call is up; undefined when it has no limit. */
  get ownSignal(): AbortSignal | undefined {
    return this.#controller?.signal;
  }

  get signal(): AbortSignal {
    return this.#signal ?? this.scope.input.cancellation.signal;
  }

  /** Runs one step of user code: the call itself, or a generator up to its next output. Throws {@link CallTimeout}. */
  async run<T>(step: () => T | Promise<T>): Promise<T> {
    const { engine, times } = this.scope;
    const { transform, path } = this.node;
    // Without a limit there is nothing to wait for.
    const release = transform.limit === undefined ? undefined : await this.#place(engine.limits, transform.limit);
    const started = performance.now();
    try {
      if (transform.timeoutMs > 0) return await this.#timed(step);
      this.scope.sink.enter(path, 0);
      return await step();
    } finally {
      times.add(path, performance.now() - started, this.#isCall ? 1 : 0);
      this.#isCall = false;
      release?.();
    }
  }

  /** Waits for a place in the limit. Returns what gives it back, which the end of an attempt that is given up does as well. */
  async #place(limits: CallScope["engine"]["limits"], limit: string | number): Promise<() => void> {
    const { cancellation } = this.scope.input;
    const [name, size] = typeof limit === "string" ? [limit, 0] : [`transform:${this.node.transform.name}`, limit];
    const release = await limits.acquire(name, size, cancellation.signal);
    const forget = cancellation.whenGivenUp(release);
    return () => {
      forget();
      release();
    };
  }

  async #timed<T>(step: () => T | Promise<T>): Promise<T> {
    const { engine, sink } = this.scope;
    const { clock, abandonAfterMs } = engine;
    const { path, transform } = this.node;
    const timeout = new CallTimeout(path, transform.timeoutMs);
    let abandon: (reason: CallTimeout) => void = () => undefined;
    let callOffAbandon: () => void = () => undefined;
    const callOff = clock.after(this.#leftMs, () => {
      this.#controller?.abort(timeout);
      if (abandonAfterMs === undefined) return;
      callOffAbandon = clock.after(abandonAfterMs, () => {
        timeout.abandoned = true;
        abandon(timeout);
      });
    });
    const started = clock.now();
    sink.enter(path, Math.max(1, this.#leftMs));
    try {
      const work = Promise.resolve(step());
      const result =
        abandonAfterMs === undefined ? await work : await Promise.race([work, abandoned((f) => (abandon = f))]);
      if (this.#controller?.signal.aborted === true) throw timeout;
      return result;
    } catch (error) {
      throw this.#controller?.signal.aborted === true ? timeout : error;
    } finally {
      callOff();
      callOffAbandon();
      this.#leftMs -= clock.now() - started;
      sink.leave(path);
    }
  }
}

function abandoned(give: (reject: (reason: CallTimeout) => void) => void): Promise<never> {
  return new Promise((_, reject) => {
    give(reject);
  });
}
