import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childId } from "@klio/runtime/message";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { makeFakeRuntime } from "../support/fake-runtime.js";
import { Rig, root } from "../support/rig.js";

const soak = process.env["KLIO_SOAK"] !== undefined;
const seed = Number(process.env["KLIO_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
console.log(`seed ${seed}`);

let rig: Rig;
const folder = mkdtempSync(join(tmpdir(), "klio-fake-"));
const runtime = await makeFakeRuntime(folder);
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function start(delivery: string): Promise<void> {
  const fixed = "retry_delay: 50ms, ack_deadline: 10s, dead_letter: DEAD";
  rig = await Rig.start({
    job: join(root, "test/fixtures/jobs/faults"),
    runtime,
    // The fake worker writes no objects.
    expect: (_element, klioId) => ({ objects: [], outputs: [childId(klioId, "fault-job", "work", "main", 0)] }),
    jobConfig: `  workers: {count: 1, concurrency: 2}\n  delivery: {${fixed}, ${delivery}}`,
  });
}

const lives = () => rig.processes.at(-1)?.alive === true;

async function run(environment: NodeJS.ProcessEnv = {}): Promise<void> {
  await rig.run({ KLIO_SEED: String(seed), ...environment });
}

/** Publishes, and waits for every message's end. Returns their ids. */
async function send(elements: readonly string[], ms = 50_000): Promise<readonly string[]> {
  const ids = await rig.publish(elements);
  const acknowledged = () => ids.filter((id) => rig.count("acknowledge", "fault-in-job", id) > 0);
  await rig.until(() => acknowledged().length === ids.length, `${elements.join(", ")} acknowledged`, ms);
  await rig.until(() => elements.every((e) => outcomeOf(e) !== undefined), `the outcomes of ${elements.join(", ")}`);
  expect(lives()).toBe(true);
  return ids;
}

/** Sends, and checks that each message was answered for: its output published once, before it was acknowledged. */
async function account(elements: readonly string[]): Promise<void> {
  for (const id of await send(elements)) {
    const output = childId(id, "fault-job", "work", "main", 0);
    const published = rig.of("publish", "fault-out").filter((e) => e.attributes["klio-id"] === output);
    expect(published).toHaveLength(1);
  }
  expect(rig.check().filter(({ rule }) => rule === "I1" || rule === "I2")).toEqual([]);
}

const outcomeOf = (element: string) => rig.outcomes().find((o) => o["element"] === element);

describe("a supervisor whose worker breaks the protocol", () => {
  // Nothing but what the worker says tells of its breach: no message has a time limit.
  beforeAll(() => start("attempts: 3"));
  beforeEach(async () => {
    if (!lives()) await run();
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === "fail") await rig.process.end(); // the next one begins afresh
  });
  afterAll(() => rig.close());

  // What the fake worker does once, and the attempts that the message takes then.
  it.each([
    ["garbage", 2],
    ["oversize", 2],
    ["undecodable", 2],
    ["empty", 1],
    ["newer", 1],
    ["unknown", 1],
    ["double", 1],
    ["contrary", 1],
    ["nothing", 2],
    ["failure", 2],
    ["unspecified", 2],
    ["strange", 2],
    ["many", 1],
    ["close", 2],
    ["exit", 1],
    ["ready", 2],
    ["older", 2],
    ["setup", 2],
    ["fatal", 2],
    ["log", 2],
    ["bare", 1],
    ["metrics", 1],
    ["tickets", 2],
  ] as const)("accounts for its messages all the same: %s", async (kind, attempts) => {
    await account([`${kind}-1`, `ok-${kind}`]);
    expect(outcomeOf(`${kind}-1`)).toMatchObject({ outcome: "processed", attempts, messages: 1 });
    expect(outcomeOf(`ok-${kind}`)).toMatchObject({ outcome: "processed" });
  });

  it.each([
    ["version", "it speaks version 99, not 1"],
    ["garbage", "a frame of 4294967295 bytes"],
    ["fatal", "a fatal error that says nothing"],
    ["idle", "it is ready for nothing (credit 0)"],
  ])("says what was wrong with it, and starts another: %s before it is ready", async (begin, what) => {
    await rig.stop();
    await run({ FAKE_START: begin });
    await account([`ok-start-${begin}`]);
    const troubles = rig.events.filter((e) => e.event === "trouble" && e["code"] === "WORKER_RESTART");
    expect(troubles.at(-1)?.["message"]).toContain(`it broke the protocol: ${what}`);
  });

  it("stops in order after all that, and leaves nothing behind", async () => {
    const workers = rig.workers();
    expect(await rig.stop()).toBe(0);
    for (const pid of workers) expect(() => process.kill(pid, 0)).toThrow();
    expect(readdirSync(rig.temporary())).toEqual([]);
  });
});

describe("a supervisor whose worker's frames are damaged", () => {
  // Damage may swallow an answer, as a worker that hangs does: only a time limit tells.
  beforeAll(() => start("attempts: 100, timeout: 500ms"));
  afterAll(() => rig.close());

  it("accounts for every message, and stops in order", async () => {
    await run();
    const count = soak ? 300 : 12;
    const kinds = ["unfinished-0", ...["random", "damaged"].flatMap((k) => range(count).map((i) => `${k}-${i}`))];
    const elements = [...kinds, ...range(count).map((i) => `ok-${i}`)];
    await send(elements, soak ? 1_800_000 : 240_000);
    for (const element of elements)
      expect(["processed", "dead-letter", "skipped", "passed-through"]).toContain(outcomeOf(element)?.["outcome"]);
    expect(await rig.stop()).toBe(0);
  }, 3_600_000);
});

function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}
