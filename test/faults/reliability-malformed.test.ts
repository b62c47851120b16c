import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { malformed, mutated } from "../support/malformed.js";
import { Rig, root } from "../support/rig.js";
import { printedRandom, soak } from "../support/seed.js";

const messages = soak ? 10_000 : 300;
let rig: Rig;

afterEach(() => rig.close());

async function start(): Promise<void> {
  rig = await Rig.start({ job: join(root, "test/fixtures/jobs/faults") });
  await rig.run();
}

describe(`${messages} messages`, () => {
  it("that are malformed become dead letters, each with its own bytes, and those beside them are processed", async () => {
    await start();
    const bad = malformed(messages, printedRandom());
    const good = Array.from({ length: 20 }, (_, i) => `ok-${i}`);
    const [badIds, goodIds] = await Promise.all([Promise.all(bad.map((d) => rig.publishRaw(d))), rig.publish(good)]);
    await rig.untilAcknowledged([...badIds, ...goodIds], 300_000);
    const letters = new Map<string, Buffer>();
    const subscription = rig.client.subscription("fault-dead-sub");
    subscription.on("message", (m: { data: Buffer; attributes: Record<string, string>; ack(): void }) => {
      letters.set(m.attributes["klio-id"] ?? "", m.data);
      m.ack();
    });
    await rig.until(
      () => letters.size === bad.length,
      () => `${letters.size} of ${bad.length} dead letters`,
      120_000,
    );
    await subscription.close();
    expect(badIds.filter((id, i) => letters.get(id)?.equals(bad[i] ?? Buffer.alloc(0)) !== true)).toEqual([]);
    expect(await rig.stop()).toBe(0);
    expect(rig.check()).toEqual([]);
    expect(new Set(rig.outcomes("dead-letter").map((o) => o["code"]))).toEqual(new Set(["UNDECODABLE"]));
    expect(rig.outcomes("processed")).toHaveLength(good.length);
    expect(rig.ledger.count("worker/start")).toBe(good.length);
  }, 600_000);

  it("that are spoilt here and there all come to an end, and nothing crashes", async () => {
    await start();
    const random = printedRandom();
    const ids = await Promise.all(Array.from({ length: messages }, () => rig.publishRaw(mutated(random), false)));
    await rig.untilAcknowledged(ids, 300_000);
    expect(await rig.stop()).toBe(0);
    const ends = rig.outcomes().map((o) => o["outcome"]);
    console.log(Object.fromEntries([...new Set(ends)].map((end) => [end, ends.filter((e) => e === end).length])));
    expect(ends).toHaveLength(messages);
    expect(rig.events.filter((e) => e["code"] === "WORKER_RESTART" || e.event === "fatal")).toEqual([]);
    expect(rig.noise).toEqual([]);
  }, 600_000);
});
