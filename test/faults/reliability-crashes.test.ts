import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { Rig, type RigOptions, root } from "../support/rig.js";
import { smallDiskMissing, withSmallDisk } from "../support/small-disk.js";

const job = join(root, "test/fixtures/jobs/faults");
let rig: Rig;

afterEach(() => rig.close());

const delivery = (attempts: number) =>
  `  delivery: {attempts: ${attempts}, retry_delay: 50ms, ack_deadline: 60s, dead_letter: DEAD}`;

/** Runs these elements to their end, under one supervisor and without a second delivery. Resolves to attempts by element. */
async function run(elements: readonly string[], options: Partial<RigOptions>): Promise<Record<string, unknown>> {
  rig = await Rig.start({ job, ...options });
  await rig.run();
  await rig.untilAcknowledged(await rig.publish(elements), 80_000);
  await rig.until(() => rig.outcomes().length === elements.length, "everything is told of");
  expect(await rig.stop()).toBe(0);
  expect(rig.check()).toEqual([]);
  expect(rig.count("deliver", "fault-in-job")).toBe(elements.length);
  return Object.fromEntries(rig.outcomes().map((o) => [String(o["element"]), o["attempts"]]));
}

/** Little memory for JavaScript, so that it is soon used up. */
const environment = { NODE_OPTIONS: "--max-old-space-size=96", SLOW_MS: "300" };
const neighbours = ["slow-1", "slow-2", "slow-3", "slow-4"];
const once = Object.fromEntries(neighbours.map((element) => [element, 1]));

describe.each([
  ["that aborts", "abort", ""],
  ["with an invalid access to memory", "segv", ""],
  ["that uses up its heap", "heap", ""],
  ["that takes 1.4 GB of buffers, with 256 MiB allowed", "buffers", ", memory: 256Mi"],
])("a worker %s", (_what, kind, limit) => {
  it("costs one attempt of the one message it had", async () => {
    const jobConfig = `  workers: {count: 2, concurrency: 1${limit}}\n${delivery(3)}`;
    const attempts = await run([`${kind}-1`, ...neighbours], { jobConfig, environment });
    expect(attempts).toEqual({ ...once, [`${kind}-1`]: 2 });
    expect(rig.outcomes("dead-letter")).toEqual([]);
  });

  it("is no message's fault while it had several", async () => {
    const jobConfig = `  workers: {count: 1, concurrency: 5${limit}}\n${delivery(1)}`;
    // They are to be there still when it ends, also where that takes a while.
    await run([`${kind}-1`, ...neighbours], { jobConfig, environment: { ...environment, SLOW_MS: "1500" } });
    expect(rig.outcomes("dead-letter")).toEqual([]);
    expect(rig.outcomes("processed")).toHaveLength(5);
  });
});

describe("a disk that is full", () => {
  const missing = smallDiskMissing();
  const files = ["file-1", "file-2", "file-3"];

  async function runOnSmallDisk(workers: string): Promise<void> {
    rig = await Rig.start({ job, jobConfig: `${workers}\n${delivery(3)}`, wrapper: (r) => withSmallDisk(r, 4) });
    await rig.putInputs(["vast-1", ...files]);
    await rig.run();
    const ids = await rig.publish(["vast-1", ...files]);
    await rig.untilAcknowledged(ids);
    await rig.until(() => rig.outcomes().length === ids.length, "everything is told of");
    expect(await rig.stop()).toBe(0);
    expect(rig.check()).toEqual([]);
    expect(rig.outcomes("dead-letter")).toMatchObject([{ element: "vast-1", code: "ENOSPC", attempts: 3 }]);
    expect(rig.events.filter((e) => e["code"] === "WORKER_RESTART")).toEqual([]);
  }

  it.skipIf(missing !== undefined)(`costs one attempt of one message ${missing ?? ""}`, async () => {
    await runOnSmallDisk("  workers: {count: 1, concurrency: 1}");
    expect(rig.outcomes("processed").map((o) => o["attempts"])).toEqual([1, 1, 1]);
    expect(rig.count("deliver", "fault-in-job")).toBe(4);
  });

  it.skipIf(missing !== undefined)(`loses none of those beside it ${missing ?? ""}`, async () => {
    await runOnSmallDisk("  workers: {count: 2, concurrency: 2}");
    expect(rig.outcomes("processed")).toHaveLength(3);
  });
});
