import type { SentEntry } from "../entry.js";
import { firstById, type History } from "../history.js";
import type { Violation } from "../violation.js";

/**
 * I6: of an ordering key, nothing of an input is seen before everything of those published earlier was. A message that comes
 * again may send its outputs again, which whoever receives them knows by their ids; the first time counts.
 */
export function checkOrder(history: History): Violation[] {
  const outputs = firstById(history.outputs);
  const dead = firstById(history.deadLetters);
  const violations: Violation[] = [];
  for (const [key, messageIds] of history.keys) {
    let before: { readonly messageId: string; readonly last: number } | undefined;
    for (const messageId of messageIds) {
      const sent = history.sent.get(messageId);
      // A replay has the outputs of the first with its id.
      if (sent === undefined || history.sentById.get(sent.klioId)?.messageId !== messageId) continue;
      const places = placesOf(sent, outputs, dead);
      if (places.length === 0) continue; // it ends without a word
      const first = Math.min(...places);
      if (before !== undefined && first < before.last) {
        const what = `what it put out came before that of ${before.messageId}, which was published before it (key ${key})`;
        violations.push({ rule: "I6", messageId, what });
      }
      const last = Math.max(...places);
      // An input without an end leaves nothing for those behind it.
      if (before === undefined || last > before.last) before = { messageId, last };
    }
  }
  return violations;
}

/** Where each of its outputs was first seen; Infinity for one that never was. */
function placesOf(sent: SentEntry, outputs: ReadonlyMap<string, number>, dead: ReadonlyMap<string, number>): number[] {
  const deadAt = dead.get(sent.klioId);
  if (deadAt !== undefined) return [deadAt];
  const passedAt = outputs.get(sent.passThrough);
  if (passedAt !== undefined) return [passedAt];
  if (sent.poison !== undefined || sent.hopeless === true) return [Infinity];
  return sent.outputs.map((id) => outputs.get(id) ?? Infinity);
}
