import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { Rig, root } from "../support/rig.js";
import { soak } from "../support/seed.js";

let rig: Rig;

afterEach(() => rig.close());

// Google's client stops to keep a lease after an hour: a file by itself, so that others run beside it.
const seconds = soak ? 61 * 60 : 45;

it(
  `a message whose transform takes ${seconds} s is delivered once, with a deadline of 10 s`,
  async () => {
    rig = await Rig.start({
      job: join(root, "test/fixtures/jobs/faults"),
      environment: { SLOW_MS: String(seconds * 1_000) },
    });
    await rig.run();
    const ids = await rig.publish(["slow-1"]);
    await rig.untilAcknowledged(ids, (seconds + 60) * 1_000);
    expect(await rig.stop()).toBe(0);
    expect(rig.count("deliver", "fault-in-job")).toBe(1);
    expect(rig.outcomes("processed")).toMatchObject([{ attempts: 1 }]);
    expect(rig.check()).toEqual([]);
  },
  (seconds + 120) * 1_000,
);
