import { invalidArgument } from "../errors.js";
import { parseFilter, type Expression } from "./parse.js";

// The language: https://cloud.google.com/pubsub/docs/subscription-message-filter

/** Whether a message with these attributes passes. */
export type Filter = (attributes: Readonly<Record<string, string>>) => boolean;

const maxBytes = 256;

/** Compiles a filter; the empty one passes everything. Throws INVALID_ARGUMENT, with the place of what is wrong. */
export function compileFilter(text: string): Filter {
  if (text === "") return () => true;
  const bytes = Buffer.byteLength(text);
  if (bytes > maxBytes) throw invalidArgument(`a filter has at most ${maxBytes} bytes, not ${bytes}`);
  return evaluate(parseFilter(text));
}

function evaluate(expression: Expression): Filter {
  switch (expression.kind) {
    case "has":
      return (attributes) => Object.hasOwn(attributes, expression.key);
    case "equals":
      return (attributes) => valueOf(attributes, expression.key) === expression.value;
    case "prefix":
      return (attributes) => valueOf(attributes, expression.key)?.startsWith(expression.value) === true;
    case "not": {
      const inner = evaluate(expression.of);
      return (attributes) => !inner(attributes);
    }
    case "and": {
      const all = expression.of.map(evaluate);
      return (attributes) => all.every((passes) => passes(attributes));
    }
    case "or": {
      const any = expression.of.map(evaluate);
      return (attributes) => any.some((passes) => passes(attributes));
    }
  }
}

function valueOf(attributes: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(attributes, key) ? attributes[key] : undefined;
}
