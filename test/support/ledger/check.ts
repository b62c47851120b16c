import { readFileSync } from "node:fs";
import type { Entry } from "./entry.js";
import { historyOf } from "./history.js";
import { parseLedger } from "./ledger.js";
import { checkAttempts } from "./rules/attempts.js";
import { checkIds } from "./rules/ids.js";
import { checkLeases } from "./rules/leases.js";
import { checkSingleWrites, checkWholeness } from "./rules/objects.js";
import { checkOrder } from "./rules/order.js";
import { checkOutputs } from "./rules/outputs.js";
import type { Violation } from "./violation.js";

/** Checks what happened against the invariants I1 to I9; the ledger alone tells. */
export function checkLedger(entries: readonly Entry[]): Violation[] {
  const history = historyOf(entries);
  return [
    ...checkOutputs(history),
    ...checkWholeness(history),
    ...checkSingleWrites(history),
    ...checkIds(history),
    ...checkOrder(history),
    ...checkAttempts(history),
    ...checkLeases(history),
  ];
}

/** The same of a ledger's file, whenever it was written. */
export function checkLedgerFile(path: string): Violation[] {
  return checkLedger(parseLedger(readFileSync(path, "utf8")));
}
