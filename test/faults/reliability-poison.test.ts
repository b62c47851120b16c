import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { throughputOfGood } from "../support/ledger/throughput.js";
import { Rig, root } from "../support/rig.js";
import { printedRandom, shuffled, soak } from "../support/seed.js";

const good = soak ? 4_000 : 200;
let rig: Rig | undefined;

afterEach(async () => {
  await rig?.close();
  rig = undefined;
});

/** A message takes so long that workers, not processors, are what it waits for: those this machine may share with others. */
const environment = { SLOW_MS: soak ? "100" : "30" };

/** Messages a second that are no poison. */
async function run(elements: readonly string[]): Promise<number> {
  rig = await Rig.start({
    job: join(root, "test/fixtures/jobs/faults"),
    jobConfig:
      "  workers: {count: 2, concurrency: 4}\n  delivery: {attempts: 3, retry_delay: 50ms, ack_deadline: 10s, dead_letter: DEAD}",
    environment,
  });
  await rig.run();
  await rig.untilAcknowledged(await rig.publish(elements), 300_000);
  expect(await rig.stop()).toBe(0);
  expect(rig.check()).toEqual([]);
  const dead = rig.outcomes("dead-letter").map((o) => o["element"]);
  expect(dead.sort()).toEqual(elements.filter((element) => !element.startsWith("slow")).sort());
  const rate = throughputOfGood(rig.ledger.entries());
  await rig.close();
  rig = undefined;
  return rate;
}

describe("poison", () => {
  it.each([
    ["that fails in every attempt, one message in ten", "throw", good / 10],
    ["that ends its worker in every attempt, one message of all", "exit", 1],
  ])(
    "%s, becomes a dead letter after exactly as many attempts as there may be, and the others go on",
    async (_what, kind, n) => {
      const random = printedRandom();
      const elements = Array.from({ length: good }, (_, i) => `slow-${i}`);
      const poison = Array.from({ length: n }, (_, i) => `${kind}-${i}`);
      const alone = await run(elements);
      const beside = await run(shuffled([...elements, ...poison], random));
      const ratio = beside / alone;
      console.log(`${alone.toFixed(1)}/s alone, ${beside.toFixed(1)}/s beside poison: ${ratio.toFixed(2)}`);
      if (soak) expect(ratio).toBeGreaterThan(0.9);
    },
    900_000,
  );
});
