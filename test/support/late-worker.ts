import { setTimeout as sleep } from "node:timers/promises";
import type { JobProcess } from "./job-process.js";
import type { Rig } from "./rig.js";

/** How long after its start an attempt of a `big` element has sent half of its object. */
export const halfSentMs = 500;
/** Environment that lets it wait there for long enough to be stopped. */
export const waitsHalfway = { STREAM_MS: "2000" };

/**
 * Stops a job with all its workers amid an upload until its lease is over and another instance of the job has done the work, and
 * lets it go on then. `meanwhile` publishes what else the other instance is to do; resolves once the late worker has ended its
 * attempt, to both instances.
 */
export async function overtake(
  rig: Rig,
  element: string,
  meanwhile: () => Promise<readonly string[]> = () => Promise.resolve([]),
): Promise<{ readonly late: JobProcess; readonly other: JobProcess }> {
  const late = await rig.run();
  const ids = await rig.publish([element]);
  await rig.until(() => rig.ledger.count("worker/start") === 1, "the worker has begun");
  await sleep(halfSentMs);
  late.signal("SIGSTOP", "tree");
  const other = await rig.run();
  ids.push(...(await meanwhile()));
  await rig.untilAcknowledged(ids, 40_000);
  late.signal("SIGCONT", "tree");
  // Long enough for what is left of the upload, and for whatever the late supervisor makes of it.
  await sleep(Number(waitsHalfway.STREAM_MS) + 2_000);
  return { late, other };
}
