import { join } from "node:path";
import type { StorageFaults } from "@klio/emulators";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { kindOf } from "../fixtures/jobs/faults/src/kinds.js";
import { Rig, root } from "../support/rig.js";
import { printedSeed, soak } from "../support/seed.js";

const messages = soak ? 500 : 20;
/** Probability of a refusal: the client waits for seconds after some. */
const often = soak ? 0.2 : 0.1;

const readers = ["read", "open", "file"];
const writers = ["big", "ok"];

const faults: readonly (readonly [string, readonly string[], StorageFaults])[] = [
  ["answers of 429", [...readers, ...writers], { tooManyRequests: often }],
  ["answers of 500", [...readers, ...writers], { internalError: often }],
  ["answers of 503", [...readers, ...writers], { serviceUnavailable: often }],
  ["answers of 408", [...readers, ...writers], { requestTimeout: often }],
  ["uploads that break amid their bytes", writers, { resetUpload: 0.3, afterBytes: 10_000 }],
  ["downloads that break amid their bytes", readers, { resetDownload: 0.3, afterBytes: 10_000 }],
  ["downloads that end early", readers, { truncateDownload: 0.3, afterBytes: 10_000 }],
  ["downloads with wrong bytes", readers, { corruptDownload: 0.3 }],
  ["replies that are lost, so that the client tries again and is told of its own object", writers, { loseReply: 0.3 }],
  [
    "all of that at once",
    [...readers, ...writers],
    { serviceUnavailable: 0.05, tooManyRequests: 0.05, resetUpload: 0.1, corruptDownload: 0.1, loseReply: 0.1 },
  ],
];

describe("the job does its work beside", () => {
  let rig: Rig;

  beforeAll(async () => {
    rig = await Rig.start({
      job: join(root, "test/fixtures/jobs/faults"),
      jobConfig:
        "  workers: {count: 2, concurrency: 16}\n  delivery: {attempts: 10, retry_delay: 50ms, ack_deadline: 10s, dead_letter: DEAD}",
    });
    await rig.run();
  });

  afterAll(() => rig.close());

  it.each(faults)(
    "%s",
    async (what, kinds, wanted) => {
      const struck = rig.faultsFromNow();
      const name = what.replaceAll(/\W/g, "");
      const seed = printedSeed();
      for (let round = 0; round === 0 || (struck() === 0 && round < 20); round += 1) {
        const elements = Array.from(
          { length: messages },
          (_, i) => `${kinds[i % kinds.length] ?? ""}-${name}-${round}-${i}`,
        );
        await rig.putInputs(elements.filter((element) => kindOf(element).reads !== undefined));
        rig.storage.setFaults({ seed: seed + round, ...wanted });
        try {
          await rig.untilAcknowledged(await rig.publish(elements), soak ? 240_000 : 40_000);
        } finally {
          rig.storage.setFaults({});
        }
      }
      expect(struck()).toBeGreaterThan(0);
    },
    300_000,
  );

  it("and breaks none of the invariants", async () => {
    expect(await rig.stop()).toBe(0);
    expect(rig.check()).toEqual([]);
  });

  it("and makes no message a dead letter", () => {
    expect(rig.outcomes("dead-letter")).toEqual([]);
  });

  it("and no worker ends by it, which would take others' work with it", () => {
    const logged = rig.events.filter((e) => e.event === "log").map((e) => e["message"]);
    expect(rig.events.filter((e) => e["code"] === "WORKER_RESTART").length, logged.join("\n")).toBe(0);
  });
});
