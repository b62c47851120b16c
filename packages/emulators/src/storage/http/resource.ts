import { badRequest } from "../errors.js";
import { type Call, readBody } from "./call.js";

/** A JSON object as a client sent it. */
export type Resource = Readonly<Record<string, unknown>>;

export async function readResource(call: Call): Promise<Resource> {
  return parseResource((await readBody(call.body)).toString());
}

/** Nothing is an empty object. Throws 400 for what is no JSON object. */
export function parseResource(text: string): Resource {
  if (text.trim() === "") return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badRequest("the body is not JSON");
  }
  return asObject(value, "the body");
}

export function asObject(value: unknown, what: string): Resource {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw badRequest(`${what} is not a JSON object`);
  }
  return value as Resource;
}

/** Undefined when there is none. Throws 400 for another type. */
export function optionalString(resource: Resource, key: string): string | undefined {
  const value = resource[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") throw badRequest(`${key} is a string, not ${JSON.stringify(value)}`);
  return value;
}

/** Whether a value asks for anything: absence, false, zero and emptiness do not, nor does what is not enabled. */
export function asksFor(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === "" || value === 0) return false;
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value !== "object") return true;
  return Object.values(value).some(asksFor);
}
