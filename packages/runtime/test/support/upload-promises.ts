import type { Request } from "../../src/objects/upload-rule.js";

/** What happened to a message, in its order. */
export type MessageEvent =
  /** The object had generation `before`; the attempt had seen `saw` when it first looked. "0": absent. */
  | { readonly kind: "commit"; readonly uri: string; readonly before: string; readonly saw: string }
  | {
      readonly kind: "send";
      readonly sends: "outputs" | "pass-through" | "nothing";
      readonly writes: readonly ("uploaded" | "adopted" | "kept")[];
    }
  /** `there`: the objects that existed then. */
  | { readonly kind: "acknowledge"; readonly there: readonly string[] }
  | { readonly kind: "breakdown"; readonly what: string };

/** What delivery promises of one message. The numbers are those of docs/decisions and of the ledger of the fault tests. */
export const promises = {
  object: "I1: an acknowledged message has its object",
  messages: "I1: an acknowledged message has sent its output messages",
  order: "I2: the acknowledgement comes after the object and the messages",
  once: "I4: one committed output for each object and request",
  late: "a late attempt overwrites nothing that it has not seen",
  kept: "without force nothing that exists is written",
  adopted: "what is adopted sends its messages all the same",
  end: "every message is acknowledged in the end",
  whole: "no attempt breaks down",
} as const;

/** The promises that a message's history breaks. `objects`: what an attempt writes, the output before the others. */
export function brokenPromises(
  request: Request,
  events: readonly MessageEvent[],
  objects: readonly string[],
): readonly string[] {
  const broken: string[] = [];
  const commits = events.filter((e) => e.kind === "commit");
  if (objects.some((uri) => commits.filter((c) => c.uri === uri).length > 1)) broken.push(promises.once);
  if (commits.some((c) => c.before !== c.saw)) broken.push(promises.late);
  if (!request.force && commits.some((c) => c.before !== "0")) broken.push(promises.kept);
  for (const [i, event] of events.entries()) {
    if (event.kind === "breakdown") broken.push(promises.whole);
    if (event.kind === "send" && event.writes.some((w) => w !== "kept") && event.sends !== "outputs") {
      broken.push(promises.adopted);
    }
    if (event.kind !== "acknowledge") continue;
    const before = events.slice(0, i);
    if (!hasSent(before, objects)) broken.push(hasSent(events, objects) ? promises.order : promises.messages);
    if (!hasObjects(request, before, event.there, objects)) {
      broken.push(hasObjects(request, events, event.there, objects) ? promises.order : promises.object);
    }
  }
  if (!events.some((e) => e.kind === "acknowledge")) broken.push(promises.end);
  return broken;
}

/** A message passes by only where somebody else made its output: what it made itself has output messages of its own. */
function hasSent(events: readonly MessageEvent[], [output]: readonly string[]): boolean {
  const made = events.some((e) => e.kind === "commit" && e.uri === output);
  return events.some((e) => e.kind === "send" && (e.sends === "outputs" || (e.sends === "pass-through" && !made)));
}

/** Its own, though perhaps overwritten since by a newer one; without force somebody else's will do. */
function hasObjects(
  request: Request,
  events: readonly MessageEvent[],
  there: readonly string[],
  objects: readonly string[],
): boolean {
  const processed = events.some((e) => e.kind === "send" && e.sends === "outputs");
  return (processed ? objects : objects.slice(0, 1)).every(
    (uri) => events.some((e) => e.kind === "commit" && e.uri === uri) || (!request.force && there.includes(uri)),
  );
}
