import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { BrokerProcess } from "../support/broker-process.js";
import { Rig, root } from "../support/rig.js";
import { printedRandom, soak } from "../support/seed.js";

const job = join(root, "test/fixtures/jobs/faults");
let rig: Rig;
let broker: BrokerProcess;

afterEach(() => rig.close());

const rounds = soak ? 20 : 2;

/** How long the broker is away; the last time for long enough that whoever asks again at longer and longer intervals waits. */
function downMs(round: number, random: () => number): number {
  return round === rounds ? 9_000 : random() * 3_000;
}

/** Starts a job against a broker in a process of its own, which keeps what it has in a directory, or in memory. */
async function start(keeps: boolean): Promise<void> {
  rig = await Rig.start({
    job,
    jobConfig: "  workers: {count: 2, concurrency: 2}\n  delivery: {ack_deadline: 10s, dead_letter: DEAD}",
    environment: { SLOW_MS: "100" },
    broker: async (ledger, folder) => {
      broker = await BrokerProcess.start(ledger, folder, keeps ? join(folder, "pubsub") : undefined);
      return broker;
    },
  });
  await rig.run();
}

/** Seconds from the broker's last start, or from `since`, to the first delivery and to the first acknowledgement after it. */
async function untilResumed(since?: number): Promise<string> {
  const entries = () => rig.ledger.entries();
  const start = entries().findLastIndex((e) => e.source === "broker" && e.kind === "start");
  const from = since ?? entries()[start]?.time ?? 0;
  const first = (kind: string) => {
    return entries().find((e, i) => i > start && e.source === "broker" && e.kind === kind && e.time >= from)?.time;
  };
  await rig.until(() => first("acknowledge") !== undefined, "something is done again", 120_000);
  const after = (kind: string) => (((first(kind) ?? 0) - from) / 1_000).toFixed(2);
  return `${after("deliver")} (acknowledged ${after("acknowledge")})`;
}

describe("a broker that is killed with kill -9", () => {
  it("and comes back with what it had, loses nothing, and the job takes up its work by itself", async () => {
    const random = printedRandom();
    await start(true);
    const elements = Array.from({ length: rounds * 40 }, (_, i) => `slow-${i}`);
    const ids = await rig.publish(elements);
    const resumed: string[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      await rig.until(() => rig.acknowledged() > (round - 1) * 30, "the job is at work");
      await sleep(random() * 300);
      await broker.kill();
      await sleep(downMs(round, random));
      await broker.startAgain();
      resumed.push(await untilResumed());
    }
    console.log(`seconds until it goes on: ${resumed.join(", ")}`);
    await rig.untilAcknowledged(ids, 120_000);
    expect(await rig.stop()).toBe(0);
    expect(rig.check()).toEqual([]);
    expect(rig.outcomes("dead-letter")).toEqual([]);
  }, 900_000);

  it("and comes back with nothing gets its topics again, and the job takes up its work by itself", async () => {
    const random = printedRandom();
    await start(false);
    const resumed: string[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      await rig.publish(Array.from({ length: 10 }, (_, i) => `slow-${round}-${i}`));
      await rig.until(() => rig.ledger.count("worker/start") > 0, "the job is at work");
      await broker.kill();
      await sleep(downMs(round, random));
      await broker.startAgain();
      await rig.reconnect();
      await rig.createResources();
      const since = Date.now();
      const waiting = untilResumed(since);
      const ids = await rig.publish(Array.from({ length: 10 }, (_, i) => `ok-${round}-${i}`));
      resumed.push(await waiting);
      await rig.untilAcknowledged(ids);
    }
    console.log(`seconds until it goes on: ${resumed.join(", ")}`);
    await rig.until(() => rig.outcomes().length >= rounds * 10, "everything is told of");
    expect(await rig.stop()).toBe(0);
    expect(rig.check()).toEqual([]);
    expect(rig.outcomes("dead-letter")).toEqual([]);
  }, 900_000);
});
