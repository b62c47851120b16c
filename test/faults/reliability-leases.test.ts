import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { Rig, root } from "../support/rig.js";
import { soak } from "../support/seed.js";

const job = join(root, "test/fixtures/jobs/faults");
let rig: Rig;

afterEach(() => rig.close());

describe("a message", () => {
  const blockMs = soak ? 30_000 : 25_000;

  it(`is delivered once while user code blocks its event loop for ${blockMs / 1_000} s, with a deadline of 10 s`, async () => {
    rig = await Rig.start({ job, environment: { BLOCK_MS: String(blockMs) } });
    await rig.run();
    const ids = await rig.publish(["block-1"]);
    await rig.untilAcknowledged(ids, blockMs + 30_000);
    expect(await rig.stop()).toBe(0);
    expect(rig.count("deliver", "fault-in-job")).toBe(1);
    expect(rig.outcomes("processed")).toMatchObject([{ attempts: 1 }]);
    expect(rig.check()).toEqual([]);
  }, 120_000);
});
