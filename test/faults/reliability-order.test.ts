import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { KillPoints } from "../support/kill-points.js";
import { Rig, root } from "../support/rig.js";
import { printedRandom, printedSeed, soak } from "../support/seed.js";

let rig: Rig;

afterEach(() => rig.close());

const keys = soak ? 50 : 6;
const perKey = soak ? 60 : 12;

describe("messages with an ordering key", () => {
  it("put out in the order in which they came, whatever fails and whoever is killed", async () => {
    const random = printedRandom();
    rig = await Rig.start({
      job: join(root, "test/fixtures/jobs/faults"),
      ordered: true,
      jobConfig:
        "  workers: {count: 2, concurrency: 4}\n  delivery: {attempts: 3, retry_delay: 50ms, ack_deadline: 10s, dead_letter: DEAD}",
      environment: { SLOW_MS: "30" },
    });
    const kills = new KillPoints(rig);
    rig.keepRunning();
    await rig.run();
    rig.pubsub.setFaults({ seed: printedSeed(), loseAck: 0.02, resetStream: 0.02 });
    const kinds = ["ok", "slow", "several", "throw", "skip", "ok", "big"];
    const deadly = ["kill.worker.midTransform", "kill.worker.afterUpload", "kill.supervisor.afterPublish"];
    const ids = await Promise.all(
      Array.from({ length: keys }, (_, key) => {
        const elements = Array.from(
          { length: perKey },
          (_, i) => `${kinds[Math.floor(random() * 7)] ?? ""}-${key}-${i}`,
        );
        // One kill in each key, somewhere.
        elements.splice(Math.floor(random() * perKey), 0, `${deadly[key % deadly.length] ?? ""}-${key}`);
        kills.arm(elements);
        return rig.publish(elements, { orderingKey: `key-${key}` });
      }),
    );
    await rig.untilAcknowledged(ids.flat(), soak ? 900_000 : 180_000);
    rig.pubsub.setFaults({});
    expect(await rig.stop()).toBe(0);
    expect(rig.processes.length).toBeGreaterThan(1);
    expect(rig.check()).toEqual([]);
  }, 1_000_000);
});
