import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { kindOf, type Point, points } from "../fixtures/jobs/faults/src/kinds.js";
import { KillPoints } from "../support/kill-points.js";
import type { Violation } from "../support/ledger/violation.js";
import { Rig, root } from "../support/rig.js";
import { printedRandom, shuffled, soak } from "../support/seed.js";

const each = soak ? 50 : 1;

describe.each(["worker", "supervisor"] as const)("kill -9 of a %s", (who) => {
  let rig: Rig;
  let violations: readonly Violation[];

  /** Elements for which somebody was killed at this point, as they were called the first time. */
  const killedAt = (point: Point) => {
    const at = rig.ledger.entries().filter((e) => {
      if (e.source === "worker") return e.kind === "die" && e.point === `${who}.${point}`;
      return e.source === "process" && e.kind === "signal" && e.point === point && e.who === who;
    });
    return at.map((e) => ("element" in e ? String(e.element) : "").replaceAll("-again", ""));
  };

  /** Whether the supervisor that was started last is ready, and nobody has killed it: its exit may not have been noticed yet. */
  const lastIsReady = () => {
    const last = rig.ledger.entries().filter((e) => "life" in e && e.life === rig.processes.length);
    const killed = last.some((e) => e.source === "process" && e.kind === "signal" && e.who === "supervisor");
    return !killed && last.some((e) => e.source === "job" && e.event === "ready");
  };

  // All points in one run, in random order and with other messages beside them: each named point is one test below.
  beforeAll(
    async () => {
      const random = printedRandom();
      rig = await Rig.start({
        job: join(root, "test/fixtures/jobs/faults"),
        jobConfig:
          "  workers: {count: 2, concurrency: 3}\n  delivery: {attempts: 20, retry_delay: 50ms, ack_deadline: 10s, dead_letter: DEAD}",
        environment: { SLOW_MS: "100" },
      });
      const kills = new KillPoints(rig);
      rig.keepRunning();
      const killing = Array.from({ length: each }, (_, i) => points.map((point) => `kill.${who}.${point}-${i}`)).flat();
      const beside = Array.from(
        { length: killing.length },
        (_, i) => `${["ok", "slow", "big", "several"][i % 4]}-${i}`,
      );
      await rig.run();
      // Who was killed for one message may have been about to be killed for another: that one's moment is made up for.
      let missed: readonly string[] = killing;
      for (let round = 0; missed.length > 0; round += 1) {
        const elements = missed.map((element) => `${element}${"-again".repeat(round)}`);
        await rig.putInputs(elements.filter((element) => kindOf(element).reads !== undefined));
        kills.arm(elements);
        const ids = await rig.publish(shuffled([...elements, ...(round === 0 ? beside : [])], random));
        await rig.untilAcknowledged(ids, soak ? 3_600_000 : 420_000);
        const killed = new Set(points.flatMap((point) => killedAt(point)));
        missed = killing.filter((element) => !killed.has(element));
      }
      await rig.until(lastIsReady, "the job runs");
      expect(await rig.stop()).toBe(0);
      violations = rig.check();
    },
    soak ? 4_000_000 : 900_000,
  );

  afterAll(() => rig.close());

  it.each(points)(`at the point %s: ${each} times`, (point) => {
    expect(new Set(killedAt(point)).size).toBe(each);
  });

  it("breaks none of the invariants, and makes no message a dead letter", () => {
    expect(violations).toEqual([]);
    expect(rig.outcomes("dead-letter")).toEqual([]);
  });
});
