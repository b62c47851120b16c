import { setTimeout as sleep } from "node:timers/promises";
import type { Context, Logger, Metrics } from "../api/context.js";
import { isItem, type Item, makeItem } from "../api/item.js";
import { isPermanent, PermanentError } from "../api/errors.js";
import { mainTag, type Skip, type Tagged } from "../api/outcome.js";
import type { GraphNode } from "../api/pipeline.js";
import { OvertakenError } from "../objects/upload-rule.js";
import type { AttemptInput, Engine } from "./engine.js";
import { inputNode, inputTag, portKey } from "./graph.js";
import type { ItemObjects, UserCall } from "./item-objects.js";
import { NodeError } from "./node-error.js";
import type { LogEntry, Sink } from "./sink.js";

export interface GraphOutput {
  readonly node: string;
  readonly tag: string;
  /** Counts the outputs of this node and tag within the attempt, from 0. */
  readonly index: number;
  readonly element: string;
  readonly payload: unknown;
}

/**
 * Takes an item through the graph, one node after the other. The order is the same in every attempt (of deterministic user
 * code), so that outputs keep their ids.
 */
export async function runGraph(engine: Engine, input: AttemptInput, element: string, objects: ItemObjects, sink: Sink) {
  const outputs: GraphOutput[] = [];
  const skips: string[] = [];
  const counts = new Map<string, number>();
  let calls = 0;

  async function arrive(node: string, tag: string, item: Item<unknown>): Promise<void> {
    const key = portKey(node, tag);
    if (engine.graph.outputs.has(key)) {
      const index = counts.get(key) ?? 0;
      counts.set(key, index + 1);
      outputs.push({ node, tag, index, element: item.element, payload: item.payload });
    }
    const consumers = engine.graph.consumers.get(key) ?? [];
    if (consumers.length === 0 && !engine.graph.outputs.has(key)) throw new NodeError(node, untaken(node, tag));
    for (const next of consumers) await enter(next, item);
  }

  async function enter(node: GraphNode, item: Item<unknown>): Promise<void> {
    input.signal.throwIfAborted();
    sink.enter(node.path);
    calls += 1;
    const userCall = { id: calls, attempt: 1 };
    const context = makeContext(engine, input, node, item, objects, sink, userCall);
    for await (const outcome of call(node, item, context, input.signal, userCall)) {
      if (isSkip(outcome)) {
        skips.push(outcome.reason);
        sink.log({ severity: "INFO", message: `skipped: ${outcome.reason}`, fields: {}, node: node.path });
      } else if (isTagged(outcome)) {
        const next = isItem(outcome.value) ? outcome.value : item.with(outcome.value);
        await arrive(node.path, outcome.tag, next);
      } else if (isItem(outcome)) {
        await arrive(node.path, mainTag, outcome);
      } else {
        throw new NodeError(node.path, new TypeError(notAnOutcome(outcome)));
      }
    }
  }

  await arrive(
    inputNode,
    inputTag(engine.config, input.input),
    makeItem(element, input.message.data?.payload ?? new Uint8Array()),
  );
  return { outputs, skips };
}

async function* call(
  node: GraphNode,
  item: Item<unknown>,
  context: Context<never>,
  signal: AbortSignal,
  userCall: { attempt: number },
): AsyncGenerator {
  const delayMs = node.transform.retry?.delayMs ?? 0;
  let tries = node.transform.retry?.tries ?? 1;
  for (let attempt = 1; ; attempt += 1) {
    userCall.attempt = attempt;
    try {
      signal.throwIfAborted();
      const result: unknown = await node.transform.process(item as Item<never>, context);
      if (!isAsyncIterable(result)) {
        yield result;
        return;
      }
      tries = 1; // what a generator has yielded is on its way already
      yield* result;
      return;
    } catch (error) {
      const final = signal.aborted || isPermanent(error) || error instanceof OvertakenError;
      if (attempt >= tries || final) throw new NodeError(node.path, error);
      const message = error instanceof Error ? error.message : String(error);
      context.logger.warn(`try ${attempt} of ${tries} failed, again in ${delayMs} ms: ${message}`);
      await sleep(delayMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

function makeContext(
  engine: Engine,
  input: AttemptInput,
  node: GraphNode,
  item: Item<unknown>,
  objects: ItemObjects,
  sink: Sink,
  userCall: UserCall,
): Context<never> {
  return {
    state: engine.states.get(node.path) as never,
    config: engine.config,
    logger: makeLogger(sink, node.path, item.element),
    metrics: makeMetrics(sink, node.path),
    signal: input.signal,
    get draining() {
      return engine.draining();
    },
    attempt: input.attempt,
    klioId: input.klioId,
    read: (of) => objects.read(of),
    open: (of) => objects.open(of),
    file: (of) => objects.file(of),
    upload: (of, data, options = {}) => objects.upload(of, data, options, userCall),
  };
}

function makeLogger(sink: Sink, node: string, element: string): Logger {
  const at =
    (severity: LogEntry["severity"]) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}) => {
      sink.log({ severity, message, fields: { ...fields, element }, node });
    };
  return { debug: at("DEBUG"), info: at("INFO"), warn: at("WARNING"), error: at("ERROR") };
}

function makeMetrics(sink: Sink, node: string): Metrics {
  return {
    counter: (name) => ({
      inc: (by = 1) => {
        sink.metric({ kind: "counter", name, node, value: by });
      },
    }),
    gauge: (name) => ({
      set: (value) => {
        sink.metric({ kind: "gauge", name, node, value });
      },
    }),
    timer: (name) => {
      const start = process.hrtime.bigint();
      return {
        stop: () => {
          sink.metric({ kind: "timer", name, node, value: Number(process.hrtime.bigint() - start) });
        },
      };
    },
  };
}

function isSkip(value: unknown): value is Skip {
  return hasKind(value, "klio.skip");
}

function isTagged(value: unknown): value is Tagged<string, unknown> {
  return hasKind(value, "klio.tagged");
}

function hasKind(value: unknown, kind: string): boolean {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === kind;
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

function untaken(node: string, tag: string): PermanentError {
  const what = tag === mainTag ? "an untagged item" : `an item tagged "${tag}"`;
  return new PermanentError(
    `${node} put out ${what}, which nothing takes: take it with branch(…), or return it from build`,
    {
      code: "UNTAKEN_OUTPUT",
    },
  );
}

function notAnOutcome(value: unknown): string {
  const what = value === undefined ? "nothing: is a return missing?" : `a value of type ${typeof value}`;
  return `process returned ${what}; return an item (item.with(…)), tag(…) or skip(…)`;
}
