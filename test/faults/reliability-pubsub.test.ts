import { join } from "node:path";
import type { Faults } from "@klio/emulators";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Rig, root } from "../support/rig.js";
import { printedSeed, soak } from "../support/seed.js";
import { freePort } from "../support/targets.js";

const messages = soak ? 1_000 : 40;

const faults: readonly (readonly [string, Faults])[] = [
  ["messages that come twice", { duplicate: 0.3 }],
  ["messages that change places", { reorder: 0.3 }],
  ["messages that come late", { delay: 0.3, delayMs: 500 }],
  ["deadlines that expire at once", { expireDeadline: 0.2 }],
  ["acknowledgements that are lost", { loseAck: 0.1 }],
  ["requests that are refused", { unavailable: 0.2 }],
  ["streams that break", { resetStream: 0.2 }],
  ["a broker that starts anew now and then", { restart: soak ? 0.02 : 0.1 }],
  [
    "all of that at once",
    {
      duplicate: 0.1,
      reorder: 0.1,
      delay: 0.1,
      expireDeadline: 0.05,
      loseAck: 0.02,
      unavailable: 0.05,
      resetStream: 0.05,
    },
  ],
];

describe("the job does its work beside", () => {
  let rig: Rig;

  beforeAll(async () => {
    rig = await Rig.start({
      job: join(root, "test/fixtures/jobs/faults"),
      jobConfig: "  workers: {count: 2, concurrency: 4}\n  delivery: {ack_deadline: 10s, dead_letter: DEAD}",
      environment: { SLOW_MS: "50" },
      pubsub: { port: await freePort() }, // a broker that starts anew gives it up and takes it again
    });
    await rig.run();
  });

  afterAll(() => rig.close());

  it.each(faults)(
    "%s",
    async (_what, wanted) => {
      const struck = rig.faultsFromNow();
      const kinds = ["slow", "ok", "several"];
      const prefix = Object.keys(wanted).join(".");
      rig.pubsub.setFaults({ seed: printedSeed(), ...wanted });
      // What strikes requests has few of them to strike.
      for (let round = 0; round === 0 || (struck() === 0 && round < 20); round += 1) {
        const elements = Array.from(
          { length: messages },
          (_, i) => `${kinds[i % kinds.length] ?? ""}-${prefix}-${round}-${i}`,
        );
        // Who publishes has the same faults.
        await rig.untilAcknowledged(await rig.publish(elements), 120_000);
      }
      rig.pubsub.setFaults({});
      expect(struck()).toBeGreaterThan(0);
    },
    300_000,
  );

  it("and breaks none of the invariants", async () => {
    expect(await rig.stop()).toBe(0);
    expect(rig.check()).toEqual([]);
    expect(rig.outcomes("dead-letter")).toEqual([]);
  }, 60_000);
});
