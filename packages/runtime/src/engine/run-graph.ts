import { isItem, type Item, makeItem } from "../api/item.js";
import { PermanentError } from "../api/errors.js";
import { mainTag, type Skip, type Tagged } from "../api/outcome.js";
import type { GraphNode } from "../api/pipeline.js";
import { callNode } from "./call-node.js";
import type { CallScope } from "./call-scope.js";
import { inputNode, inputTag, type OutPort } from "./graph.js";
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
 * One item's way through the graph, one node after the other. The order is the same in every attempt (of deterministic user
 * code), so that outputs keep their ids.
 */
export class GraphRun {
  readonly outputs: GraphOutput[] = [];
  readonly skips: string[] = [];
  readonly #counts = new Map<OutPort, number>();

  constructor(readonly scope: CallScope) {}

  /** Resolves when the item, and all that is made of it, has arrived where it leaves the job. */
  start(element: string): Promise<void> | undefined {
    const { engine, input } = this.scope;
    const payload = input.message.data?.payload ?? new Uint8Array();
    return this.#arrive(inputNode, inputTag(engine.config, input.input), makeItem(element, payload));
  }

  #arrive(node: string, tag: string, item: Item<unknown>): Promise<void> | undefined {
    const port = this.scope.engine.graph.ports.get(node)?.get(tag);
    if (port === undefined) throw new NodeError(node, untaken(node, tag));
    if (port.leaves) {
      const index = this.#counts.get(port) ?? 0;
      this.#counts.set(port, index + 1);
      this.outputs.push({ node, tag, index, element: item.element, payload: item.payload });
    }
    const [first] = port.consumers;
    if (first === undefined) return undefined;
    return port.consumers.length === 1 ? this.#call(first, item) : this.#callAll(port.consumers, item);
  }

  async #callAll(nodes: readonly GraphNode[], item: Item<unknown>): Promise<void> {
    for (const node of nodes) await this.#call(node, item);
  }

  #call(node: GraphNode, item: Item<unknown>): Promise<void> {
    return callNode(this.scope, node, item, (outcome) => this.#put(node, item, outcome));
  }

  #put(node: GraphNode, item: Item<unknown>, outcome: unknown): Promise<void> | undefined {
    if (isItem(outcome)) return this.#arrive(node.path, mainTag, outcome);
    if (isTagged(outcome)) {
      const next = isItem(outcome.value) ? outcome.value : item.with(outcome.value);
      return this.#arrive(node.path, outcome.tag, next);
    }
    if (!isSkip(outcome)) throw new NodeError(node.path, new TypeError(notAnOutcome(outcome)));
    this.skips.push(outcome.reason);
    const message = `skipped: ${outcome.reason}`;
    this.scope.sink.log({ severity: "INFO", message, fields: {}, node: node.path });
    return undefined;
  }
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
