import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { historyOf } from "../support/ledger/history.js";
import { Leases } from "../support/ledger/leases.js";
import { Rig, type RigOptions, root } from "../support/rig.js";
import { printedSeed, soak } from "../support/seed.js";

const job = join(root, "test/fixtures/jobs/faults");
let rig: Rig;

afterEach(() => rig.close());

/** Messages that are published at once. */
const atOnce = 20;

/** The most that was outstanding at once, in messages and bytes, by the ledger. */
function peak(): { readonly messages: number; readonly bytes: number } {
  const entries = rig.ledger.entries();
  const leases = new Leases(historyOf(entries));
  let most = { messages: 0, bytes: 0 };
  for (const entry of entries) {
    leases.take(entry);
    most = { messages: Math.max(most.messages, leases.messages), bytes: Math.max(most.bytes, leases.bytes) };
  }
  return most;
}

async function run(elements: readonly string[], payload: Buffer, options: Partial<RigOptions>): Promise<void> {
  rig = await Rig.start({ job, ...options });
  await rig.run();
  const ids: string[] = [];
  // A client that is given gigabytes at once gives up requests that wait for a minute.
  for (let i = 0; i < elements.length; i += atOnce) {
    ids.push(...(await rig.publish(elements.slice(i, i + atOnce), { payload })));
  }
  await rig.untilAcknowledged(ids, 240_000);
  rig.pubsub.setFaults({});
  expect(await rig.stop()).toBe(0);
  expect(rig.check()).toEqual([]);
}

describe("what a job has outstanding", () => {
  it("stays within its bound in count", async () => {
    const n = soak ? 5_000 : 300;
    const elements = Array.from({ length: n }, (_, i) => `${i % 2 === 0 ? "slow" : "ok"}-${i}`);
    await run(elements, Buffer.alloc(10), {
      jobConfig: "  workers: {count: 2, concurrency: 3}\n  delivery: {ack_deadline: 10s, dead_letter: DEAD}",
      environment: { SLOW_MS: "20" },
      // A stream that breaks lets the job ask for messages anew, while it has some in hand.
      pubsub: { faults: { seed: printedSeed(), resetStream: 0.05 } },
    });
    const most = peak();
    console.log(`at most ${most.messages} messages outstanding, of 12 allowed`);
    expect(most.messages).toBeGreaterThan(6);
    expect(most.messages).toBeLessThanOrEqual(12);
  }, 300_000);

  it("stays within the bounds that its configuration sets", async () => {
    const elements = Array.from({ length: 40 }, (_, i) => `ok-${i}`);
    await run(elements, Buffer.alloc(300_000, "p"), {
      jobConfig:
        "  workers: {count: 2, concurrency: 3}\n  delivery: {ack_deadline: 10s, dead_letter: DEAD, max_outstanding_messages: 4, max_outstanding_bytes: 1Mi}",
    });
    const most = peak();
    expect(most.messages).toBe(3); // a fourth would be more than 1 MiB
    expect(most.bytes).toBeLessThanOrEqual(1024 * 1024);
  });

  it("stays within its bound in bytes", async () => {
    // 64 messages may be outstanding, of which 38 fit into 256 MiB.
    const elements = Array.from({ length: soak ? 300 : 45 }, (_, i) => `slow-${i}`);
    await run(elements, Buffer.alloc(7_000_000, "p"), {
      jobConfig: "  workers: {count: 2, concurrency: 16}\n  delivery: {ack_deadline: 60s, dead_letter: DEAD}",
      environment: { SLOW_MS: "12000" },
    });
    const most = peak();
    console.log(`at most ${(most.bytes / 1024 / 1024).toFixed(0)} MiB outstanding, of 256 allowed`);
    expect(most.bytes).toBeGreaterThan(128 * 1024 * 1024);
    expect(most.bytes).toBeLessThanOrEqual(256 * 1024 * 1024);
  }, 300_000);
});
