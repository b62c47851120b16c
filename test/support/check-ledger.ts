import { childId } from "@klio/runtime/message";
import type { Rig } from "./rig.js";

/** One broken promise of delivery. */
export interface Violation {
  readonly rule: "I1" | "I2" | "I4" | "I5";
  readonly messageId: string;
  readonly what: string;
}

export interface LedgerOptions {
  /** Node whose untagged outputs leave the job. */
  readonly node: string;
  /** Message id → name of the object it must have written; absent for messages that end otherwise. */
  readonly objects: ReadonlyMap<string, string>;
}

/**
 * Checks what happened against what delivery promises: an acknowledged input has its output message or a dead letter (I1),
 * confirmed before the acknowledgement (I2); one committed object for each request (I4); repeated output messages carry the
 * same id (I5, which follows from the ids being the expected ones).
 */
export function checkLedger(rig: Rig, options: LedgerOptions): Violation[] {
  const violations: Violation[] = [];
  const acknowledged = rig.of("acknowledge", "fault-in-job");
  for (const { messageId } of acknowledged) {
    const at = rig.ledger.findIndex((e) => e.kind === "acknowledge" && e.messageId === messageId);
    const expected = childId(messageId, "fault-job", options.node, "main", 0);
    const published = rig.ledger.findIndex(
      (e) =>
        e.kind === "publish" &&
        ((e.resource.endsWith("/fault-out") && e.attributes["klio-id"] === expected) ||
          (e.resource.endsWith("/fault-dead") && e.attributes["klio-id"] === messageId)),
    );
    if (published < 0) violations.push({ rule: "I1", messageId, what: "acknowledged without output or dead letter" });
    else if (published > at) violations.push({ rule: "I2", messageId, what: "acknowledged before its output" });
  }
  const known = new Set(acknowledged.map((e) => childId(e.messageId, "fault-job", options.node, "main", 0)));
  for (const e of rig.of("publish", "fault-out")) {
    const id = e.attributes["klio-id"] ?? "";
    if (!known.has(id))
      violations.push({ rule: "I5", messageId: e.messageId, what: `an output of no known input: ${id}` });
  }
  for (const [messageId, object] of options.objects) {
    const writes = rig.writes.filter((w) => w === object).length;
    if (writes !== 1) violations.push({ rule: "I4", messageId, what: `${object} was written ${writes} times` });
  }
  return violations;
}
