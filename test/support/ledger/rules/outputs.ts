import type { SentEntry } from "../entry.js";
import { type Committed, firstById, type History } from "../history.js";
import type { Violation } from "../violation.js";

/** I1 and I2: what an acknowledged input must have, and that it had it by then. */
export function checkOutputs(history: History): Violation[] {
  const places: Places = {
    outputs: firstById(history.outputs),
    deadLetters: firstById(history.deadLetters),
    commits: byName(history.commits),
  };
  const violations: Violation[] = [];
  for (const [messageId, acknowledgedAt] of history.acknowledged) {
    const sent = history.sent.get(messageId);
    if (sent === undefined) {
      violations.push({ rule: "I1", messageId, what: "it was acknowledged, and nobody noted that it was sent" });
      continue;
    }
    const doneAt = Math.min(...waysToEnd(sent, places));
    if (doneAt === Infinity) {
      violations.push({ rule: "I1", messageId, what: `acknowledged without ${missing(sent, places)}` });
    } else if (doneAt > acknowledgedAt) {
      violations.push({
        rule: "I2",
        messageId,
        what: `acknowledged ${doneAt - acknowledgedAt} entries before its end`,
      });
    }
  }
  return violations;
}

interface Places {
  readonly outputs: ReadonlyMap<string, number>;
  readonly deadLetters: ReadonlyMap<string, number>;
  readonly commits: ReadonlyMap<string, readonly Committed[]>;
}

/** Where it was complete, for each way to an end there is; Infinity where it never was. */
function waysToEnd(sent: SentEntry, places: Places): number[] {
  const dead = places.deadLetters.get(sent.klioId) ?? Infinity;
  if (sent.poison !== undefined || sent.hopeless === true) return [dead];
  return [dead, processedAt(sent, places), passedAt(sent, places)];
}

function processedAt(sent: SentEntry, { outputs, commits }: Places): number {
  const written = sent.objects.map(
    ({ name }) => commits.get(name)?.find((c) => c.by.includes(sent.klioId))?.at ?? Infinity,
  );
  const published = sent.outputs.map((id) => outputs.get(id) ?? Infinity);
  return Math.max(-1, ...written, ...published);
}

/** Passing on is no end for a message whose own earlier attempt made the object: its outputs would be lost. */
function passedAt(sent: SentEntry, { outputs, commits }: Places): number {
  const others = sent.objects.map(
    ({ name }) => commits.get(name)?.find((c) => !c.by.includes(sent.klioId))?.at ?? Infinity,
  );
  return Math.max(outputs.get(sent.passThrough) ?? Infinity, ...others);
}

function missing(sent: SentEntry, { outputs, commits }: Places): string {
  if (sent.poison !== undefined || sent.hopeless === true) return "a dead letter";
  const absent = sent.objects.filter(({ name }) => commits.get(name)?.some((c) => c.by.includes(sent.klioId)) !== true);
  const unpublished = sent.outputs.filter((id) => !outputs.has(id));
  const parts = [...absent.map((o) => `object ${o.name}`), ...unpublished.map((id) => `output message ${id}`)];
  return `${parts.join(", ")}, or a dead letter`;
}

function byName(commits: readonly Committed[]): Map<string, Committed[]> {
  const found = new Map<string, Committed[]>();
  for (const commit of commits) {
    const same = found.get(commit.name);
    if (same === undefined) found.set(commit.name, [commit]);
    else same.push(commit);
  }
  return found;
}
