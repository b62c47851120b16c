import { isItem, type Item, makeItem } from "../api/item.js";
import { PermanentError } from "../api/errors.js";
import { mainTag, type Skip, type Tagged } from "../api/outcome.js";
import type { GraphNode } from "../api/pipeline.js";
import { callNode } from "./call-node.js";
import type { CallScope } from "./call-scope.js";
import { inputNode, inputTag, portKey } from "./graph.js";
import { NodeError } from "./node-error.js";

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
export async function runGraph(scope: CallScope, element: string) {
  const { engine, input, sink } = scope;
  const outputs: GraphOutput[] = [];
  const skips: string[] = [];
  const counts = new Map<string, number>();

  async function arrive(node: string, tag: string, item: Item<unknown>): Promise<void> {
    const key = portKey(node, tag);
    const leaves = engine.graph.outputs.has(key);
    if (leaves) {
      const index = counts.get(key) ?? 0;
      counts.set(key, index + 1);
      outputs.push({ node, tag, index, element: item.element, payload: item.payload });
    }
    const consumers = engine.graph.consumers.get(key) ?? [];
    if (consumers.length === 0 && !leaves) throw new NodeError(node, untaken(node, tag));
    for (const next of consumers) await callNode(scope, next, item, (outcome) => put(next, item, outcome));
  }

  async function put(node: GraphNode, item: Item<unknown>, outcome: unknown): Promise<void> {
    if (isItem(outcome)) {
      await arrive(node.path, mainTag, outcome);
    } else if (isSkip(outcome)) {
      skips.push(outcome.reason);
      sink.log({ severity: "INFO", message: `skipped: ${outcome.reason}`, fields: {}, node: node.path });
    } else if (isTagged(outcome)) {
      const next = isItem(outcome.value) ? outcome.value : item.with(outcome.value);
      await arrive(node.path, outcome.tag, next);
    } else {
      throw new NodeError(node.path, new TypeError(notAnOutcome(outcome)));
    }
  }

  const payload = input.message.data?.payload ?? new Uint8Array();
  await arrive(inputNode, inputTag(engine.config, input.input), makeItem(element, payload));
  return { outputs, skips };
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
