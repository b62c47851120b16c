import { messageOf } from "../error-message.js";

/** A payload declared to leave the job as JSON. */
export interface Json<Value> {
  readonly kind: "klio.json";
  readonly value: Value;
}

/** `Value` itself where JSON carries it, with `never` in the place of what it does not carry (functions, bigint, symbols). */
export type Jsonable<Value> = Value extends string | number | boolean | null | undefined
  ? Value
  : Value extends (...args: never) => unknown
    ? never
    : Value extends object
      ? { readonly [Key in keyof Value]: Jsonable<Value[Key]> }
      : never;

/**
 * Declares a payload that leaves the job as JSON text, UTF-8: `item.with(json({ loudness }))`. JSON has no `undefined`: a payload
 * that is none is `item.with(undefined)`.
 */
export function json<const Value>(value: Value & Jsonable<Exclude<Value, undefined>>): Json<Value> {
  return { kind: "klio.json", value };
}

/** What may leave a job in a message: bytes, text, declared JSON, or nothing. */
export type Leaving = Uint8Array | string | Json<unknown> | undefined;

/** The bytes of a payload that leaves. Throws a TypeError for anything else. */
export function leavingBytes(payload: unknown): Uint8Array {
  if (payload === undefined) return new Uint8Array();
  if (payload instanceof Uint8Array) return payload;
  if (typeof payload === "string") return Buffer.from(payload);
  if (typeof payload === "object" && payload !== null && "kind" in payload && payload.kind === "klio.json") {
    return Buffer.from(jsonText((payload as Json<unknown>).value));
  }
  throw new TypeError(
    `a payload of type ${payload === null ? "null" : typeof payload} cannot leave the job: return bytes, text, json(value), or item.with(undefined)`,
  );
}

function jsonText(value: unknown): string {
  const text = stringified(value);
  if (text !== undefined) return text;
  const what = value === undefined ? "undefined" : `a value of type ${typeof value}`;
  throw new TypeError(`json(…): ${what} is nothing that JSON has`);
}

/** Undefined where JSON has nothing for it, whatever the declared type of `JSON.stringify` says. */
function stringified(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // user code's own, of a getter or toJSON
    throw new TypeError(`json(…): ${messageOf(error)}`, { cause: error });
  }
}
