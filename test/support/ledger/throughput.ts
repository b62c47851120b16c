import type { Entry } from "./entry.js";
import { historyOf } from "./history.js";

/** Messages a second that were acknowledged and are no poison, from the first delivery to the last acknowledgement. */
export function throughputOfGood(entries: readonly Entry[]): number {
  const { begin, sent, acknowledged } = historyOf(entries);
  const first = entries.find((e) => e.source === "broker" && e.kind === "deliver" && e.resource === begin.subscription);
  const good = [...acknowledged].filter(
    ([id]) => sent.get(id)?.poison === undefined && sent.get(id)?.hopeless !== true,
  );
  const last = Math.max(...good.map(([, at]) => entries[at]?.time ?? 0));
  return good.length / ((last - (first?.time ?? last)) / 1_000);
}
