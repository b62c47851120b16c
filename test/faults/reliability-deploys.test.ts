import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { Rig, root } from "../support/rig.js";
import { soak } from "../support/seed.js";

const job = join(root, "test/fixtures/jobs/faults");
let rig: Rig;

afterEach(() => rig.close());

const restarts = soak ? 100 : 5;

describe("stopping", () => {
  it(`under load, ${restarts} times, processes nothing twice and leaves nothing behind`, async () => {
    rig = await Rig.start({
      job,
      jobConfig: "  workers: {count: 2, concurrency: 2}\n  delivery: {ack_deadline: 10s, dead_letter: DEAD}",
      environment: { SLOW_MS: "200" },
    });
    const kinds = ["slow", "file"];
    const elements = Array.from({ length: restarts * 10 }, (_, i) => `${kinds[i % 2] ?? ""}-${i}`);
    await rig.putInputs(elements.filter((element) => element.startsWith("file")));
    await rig.run();
    const ids = await rig.publish(elements);
    for (let i = 0; i < restarts; i += 1) {
      await sleep(300);
      expect(await rig.stop(i % 2 === 0 ? "SIGTERM" : "SIGINT")).toBe(0);
      await rig.run();
    }
    await rig.untilAcknowledged(ids, 180_000);
    expect(await rig.stop()).toBe(0);
    expect(rig.check()).toEqual([]);
    expect(rig.count("publish", "fault-out")).toBe(elements.length);
    expect(rig.ledger.count("worker/start")).toBe(elements.length);
    expect(rig.events.filter((e) => e.event === "log" || e.event === "retry")).toEqual([]);
  }, 900_000);

  it("gives back what the grace period is too short for, and ends all the same", async () => {
    rig = await Rig.start({
      job,
      jobConfig:
        "  workers: {count: 1, concurrency: 2}\n  delivery: {ack_deadline: 10s, grace_period: 2s, dead_letter: DEAD}",
      environment: { SLOW_MS: "6000", BLOCK_MS: "60000" },
    });
    await rig.run();
    const ids = await rig.publish(["slow-1", "block-1", "ok-1", "ok-2"]);
    await rig.until(() => rig.ledger.count("worker/start") === 2, "the workers have begun");
    expect(await rig.stop()).toBe(0);
    expect(rig.check()).toEqual([]);
    expect(rig.outcomes("given-back").map((o) => o["message_id"])).toEqual(expect.arrayContaining(ids.slice(0, 2)));
    expect(rig.outcomes()).toHaveLength(4);
  });
});
