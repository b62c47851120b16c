import type { Entry, SentEntry } from "../entry.js";
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
  for (const [key, { heard, all }] of throws) {
    const [klioId, pid] = JSON.parse(key) as [string, number];
    if (heard <= begin.attempts) continue;
    const messageId = sentById.get(klioId)?.messageId ?? "";
    const what = `it failed ${all} times under supervisor ${pid}, not ${begin.attempts} times`;
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
  { throws, told }: { readonly throws: ReadonlyMap<string, Throws>; readonly told: ReadonlyMap<string, Set<number>> },
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
  const failed = alive.map((life) => throws.get(JSON.stringify([sent.klioId, life.pid])) ?? { heard: 0, all: 0 });
  if (failed.some(({ heard, all }) => heard <= attempts && attempts <= all)) return undefined;
  return `a dead letter after ${failed.map(({ all }) => all).join(" or ")} failures, not ${attempts}`;
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

/** How often user code failed on a message; `heard`: that the supervisor must have heard of. */
interface Throws {
  readonly heard: number;
  readonly all: number;
}

/**
 * By `[klio-id, pid of the supervisor]`. A failure died with its worker if that was killed before the job told what came of it: a
 * further attempt, or a dead letter.
 */
function throwsOf({ entries, sentById }: History): Map<string, Throws> {
  const throws = new Map<string, { heard: number; all: number }>();
  /** Failures of which nothing was told yet. */
  let untold: { readonly key: string; readonly messageId: string; readonly worker: number }[] = [];
  for (const entry of entries) {
    if (entry.source === "worker" && entry.kind === "throw") {
      const { klioId, supervisor, pid: worker } = entry;
      const key = JSON.stringify([klioId, supervisor]);
      const { heard, all } = throws.get(key) ?? { heard: 0, all: 0 };
      throws.set(key, { heard: heard + 1, all: all + 1 });
      untold.push({ key, messageId: sentById.get(klioId)?.messageId ?? "", worker });
    } else if (entry.source === "job" && ["retry", "outcome"].includes(entry.event)) {
      untold = untold.filter(({ messageId }) => messageId !== entry["message_id"]);
    } else {
      const killed = killedBy(entry);
      for (const { key, worker } of untold) {
        const count = throws.get(key);
        if (worker === killed && count !== undefined) count.heard -= 1;
      }
      untold = untold.filter(({ worker }) => worker !== killed);
    }
  }
  return throws;
}

/** The process that an entry tells the end of. */
function killedBy(entry: Entry): number | undefined {
  if (entry.source === "process" && entry.kind === "signal" && entry.signal === "SIGKILL") return entry.pid;
  const itself = entry.source === "worker" && entry.kind === "die" && entry.point?.startsWith("supervisor.") !== true;
  return itself ? entry.pid : undefined;
}
