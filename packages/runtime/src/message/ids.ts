import { hash } from "node:crypto";

/** Attribute that carries a message's stable id. */
export const klioIdAttribute = "klio-id";

/** The id of the output of an input: the same however often the input is processed. 32 hexadecimal digits. */
export function childId(parent: string, job: string, node: string, tag: string, index: number): string {
  return idOf([parent, job, node, tag, index]);
}

/** The id of an element of an event file: the same in every attempt of one run, another in the next run. */
export function rootId(run: string, input: string, place: string): string {
  return idOf([run, input, place]);
}

function idOf(parts: readonly (string | number)[]): string {
  return hash("sha256", JSON.stringify(parts), "hex").slice(0, 32);
}
