import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { Rig, root } from "../support/rig.js";
import { printedRandom, soak } from "../support/seed.js";

const job = join(root, "test/fixtures/jobs/faults");
let rig: Rig;

afterEach(() => rig.close());

const messages = soak ? 10_000 : 200;
const wanted = soak ? 200 : 6;

describe(`${wanted} kills at random over ${messages} messages`, () => {
  it("lose nothing, repeat no object, and break no other invariant", async () => {
    const random = printedRandom();
    rig = await Rig.start({
      job,
      jobConfig:
        "  workers: {count: 2, concurrency: 4}\n  delivery: {attempts: 50, retry_delay: 50ms, ack_deadline: 10s, dead_letter: DEAD}",
      environment: { SLOW_MS: "50" },
    });
    rig.keepRunning();
    await rig.run();
    const kinds = ["slow", "ok", "big", "several"];
    const ids = await rig.publish(Array.from({ length: messages }, (_, i) => `${kinds[i % kinds.length] ?? ""}-${i}`));
    let kills = 0;
    for (; kills < wanted && rig.acknowledged() < messages; kills += 1) {
      const reached = rig.acknowledged() + (messages / wanted) * random();
      await rig.until(() => rig.acknowledged() >= Math.min(reached, messages - 1), "so many messages are done");
      await sleep(random() * 100);
      const workers = rig.workers();
      const worker = workers[Math.floor(random() * 2 * workers.length)];
      rig.process.signal("SIGKILL", worker === undefined ? "supervisor" : "worker", {}, worker);
    }
    await rig.untilAcknowledged(ids, soak ? 1_800_000 : 60_000);
    expect(kills).toBeGreaterThan(wanted / 2);
    expect(await rig.stop()).toBe(0);
    const outputs = rig.count("publish", "fault-out");
    console.log(`${kills} kills, ${rig.processes.length} supervisors, ${outputs} output messages`);
    expect(rig.check()).toEqual([]);
    expect(rig.outcomes("dead-letter")).toEqual([]);
  }, 3_600_000);
});
