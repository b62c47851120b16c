import type { History, Published } from "../history.js";
import type { Violation } from "../violation.js";

/** I5: an output message has the id that its input, node, tag and index determine, however often it is sent. */
export function checkIds(history: History): Violation[] {
  const outputs = new Set<string>();
  for (const sent of history.sentById.values()) {
    for (const id of sent.outputs) outputs.add(id);
    outputs.add(sent.passThrough);
  }
  const stranger = (what: string) => (published: Published) => ({
    rule: "I5" as const,
    messageId: published.messageId,
    what: `${what} with the id ${published.attributes["klio-id"] ?? "(none)"}, which none must have`,
  });
  return [
    ...history.outputs.filter((p) => !outputs.has(p.attributes["klio-id"] ?? "")).map(stranger("an output message")),
    ...history.deadLetters
      .filter((p) => !history.sentById.has(p.attributes["klio-id"] ?? ""))
      .map(stranger("a dead letter")),
  ];
}
