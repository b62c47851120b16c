import { createHash } from "node:crypto";

/** Attribute that carries a message's stable id. */
export const klioIdAttribute = "klio-id";

/** The id of the output of an input: the same however often the input is processed. 32 hexadecimal digits. */
export function childId(parent: string, job: string, node: string, tag: string, index: number): string {
  return createHash("sha256")
    .update(JSON.stringify([parent, job, node, tag, index]))
    .digest("hex")
    .slice(0, 32);
}
