import type { SentEntry } from "../entry.js";
import type { History, Published } from "../history.js";
import type { Violation } from "../violation.js";

/**
 * I7: a message has exactly N charged attempts before its dead letter, counted for each supervisor by itself. What user code
 * threw is counted by what user code wrote down, deaths by what the job says of them.
 */
export function checkAttempts(history: History): Violation[] {
  const { begin, deadLetters, sentById } = history;
  const violations: Violation[] = [];
  const throws = throwsOf(history);
  const told = chargesOf(history);
  for (const [key, n] of throws) {
    const [klioId, pid] = JSON.parse(key) as [string, number];
    if (n <= begin.attempts) continue;
    const messageId = sentById.get(klioId)?.messageId ?? "";
    const what = `it failed ${n} times under supervisor ${pid}, not ${begin.attempts} times`;
    violations.push({ rule: "I7", messageId, what });
  }
  for (const letter of deadLetters) {
    const sent = sentById.get(letter.attributes["klio-id"] ?? "");
    const what = sent === undefined ? undefined : complaint(history, sent, letter, { throws, told });
    if (what !== undefined) violations.push({ rule: "I7", messageId: sent?.messageId ?? "", what });
  }
  return violations;
}

function complaint(
  history: History,
  sent: SentEntry,
  letter: Published,
  { throws, told }: { readonly throws: ReadonlyMap<string, number>; readonly told: ReadonlyMap<string, Set<number>> },
): string | undefined {
  if (sent.hopeless === true) return undefined;
  const { attempts } = history.begin;
  const total = letter.attributes["klio-dead-letter-attempts"] ?? "0";
  if (total !== String(attempts)) return `a dead letter after ${total} charged attempts, not ${attempts}`;
  const alive = history.lives.filter((l) => l.from < letter.at && letter.at < l.to);
  const wanted = Array.from({ length: attempts - 1 }, (_, i) => i + 1).join();
  const charged = alive.map(({ life }) => [...(told.get(JSON.stringify([sent.messageId, life])) ?? [])].join());
  if (!charged.includes(wanted)) return `a dead letter after the charges ${charged.join(" or ")}, not ${wanted}`;
  if (sent.poison !== "throws") return undefined;
  const failed = alive.map((life) => throws.get(JSON.stringify([sent.klioId, life.pid])) ?? 0);
  if (failed.includes(attempts)) return undefined;
  return `a dead letter after ${failed.join(" or ")} failures, not ${attempts}`;
}

/** The charges that a supervisor told of before it tried again: 1, 2, …; by `[message id, life]`. */
function chargesOf({ entries }: History): Map<string, Set<number>> {
  const charges = new Map<string, Set<number>>();
  for (const entry of entries) {
    if (entry.source !== "job" || entry.event !== "retry") continue;
    const charged = Number(entry["charged"]);
    if (charged === 0) continue; // what failed for another reason than the message is told of with the charges it had
    const key = JSON.stringify([entry["message_id"], entry.life]);
    charges.set(key, (charges.get(key) ?? new Set()).add(charged));
  }
  return charges;
}

/** How often user code failed on a message under a supervisor, by `[klio-id, pid]`. */
function throwsOf({ entries }: History): Map<string, number> {
  const throws = new Map<string, number>();
  for (const entry of entries) {
    if (entry.source !== "worker" || entry.kind !== "throw") continue;
    const key = JSON.stringify([entry.klioId, entry.supervisor]);
    throws.set(key, (throws.get(key) ?? 0) + 1);
  }
  return throws;
}
