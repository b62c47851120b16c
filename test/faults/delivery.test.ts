import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { encodeMessage, requestMessage } from "@klio/runtime/message";
import { afterEach, describe, expect, it } from "vitest";
import { isRunning } from "../support/processes.js";
import { Rig, type RigOptions, root } from "../support/rig.js";
import { freePort } from "../support/targets.js";

const job = join(root, "test/fixtures/jobs/faults");
let rig: Rig;

async function start(options: Partial<RigOptions> = {}): Promise<Rig> {
  rig = await Rig.start({ job, ...options });
  await rig.run();
  return rig;
}

afterEach(() => rig.close());

describe("a worker that is killed", () => {
  it("makes only its own messages run again", async () => {
    await start({
      jobConfig:
        "  workers: {count: 2, concurrency: 1}\n  delivery: {retry_delay: 50ms, ack_deadline: 10s, dead_letter: DEAD}",
    });
    const elements = ["kill.worker.beforeUpload-1", "slow-1", "slow-2", "slow-3"];
    await rig.publish(elements);
    await rig.untilDone(4);
    const attempts: Record<string, unknown> = Object.fromEntries(
      rig.outcomes().map((o) => [o["element"], o["attempts"]]),
    ) as Record<string, unknown>;
    expect(attempts).toEqual({ "kill.worker.beforeUpload-1": 2, "slow-1": 1, "slow-2": 1, "slow-3": 1 });
    expect(rig.count("deliver", "fault-in-job")).toBe(4);
  });

  it("charges nobody when several were in hand, and runs each of them alone", async () => {
    await start({
      jobConfig:
        "  workers: {count: 1, concurrency: 4}\n  delivery: {attempts: 1, ack_deadline: 10s, dead_letter: DEAD}",
    });
    await rig.publish(["slow-1", "slow-2", "slow-3", "kill.worker.beforeUpload-1"]);
    await rig.untilDone(4);
    expect(rig.outcomes("dead-letter")).toEqual([]);
  });

  it("becomes a dead letter when it dies alone in every attempt", async () => {
    await start({
      jobConfig:
        "  workers: {count: 1, concurrency: 1}\n  delivery: {attempts: 2, retry_delay: 50ms, ack_deadline: 10s, dead_letter: DEAD}",
    });
    await rig.publish(["exit-1", "ok-1"]);
    await rig.untilDone(2);
    expect(rig.outcomes("dead-letter")).toMatchObject([{ element: "exit-1", code: "WORKER_DIED", attempts: 2 }]);
  });
});

describe("a message that cannot be processed", () => {
  it("becomes a dead letter with its bytes and the reason, and the job goes on", async () => {
    await start({ checkInput: true });
    for (const element of ["ok-1", "throw-1", "permanent-1", "skip-1"]) await rig.putInput(`job/${element}`, "x");
    const raw = Buffer.from("hello, this is no KlioMessage");
    const rawId = await rig.publishRaw(raw);
    await rig.publish(["missing-1", "throw-1", "permanent-1", "skip-1", "ok-1"]);
    await rig.untilDone(6);
    const reasons: Record<string, unknown> = Object.fromEntries(
      rig.outcomes("dead-letter").map((o) => [o["element"], [o["code"], o["attempts"]]]),
    ) as Record<string, unknown>;
    expect(reasons).toEqual({
      "": ["UNDECODABLE", 0],
      "missing-1": ["INPUT_NOT_FOUND", 1],
      "throw-1": ["ERROR", 3],
      "permanent-1": ["NEVER", 1],
    });
    const dead = await readDeadLetters(4);
    const undecodable = dead.find((d) => d.attributes["klio-dead-letter-code"] === "UNDECODABLE");
    expect(undecodable?.data.equals(raw)).toBe(true);
    expect(undecodable?.attributes).toMatchObject({
      raw: "yes",
      "klio-id": rawId,
      "klio-dead-letter-job": "fault-job",
    });
    expect(dead.find((d) => d.attributes["klio-dead-letter-code"] === "ERROR")?.attributes).toMatchObject({
      "klio-dead-letter-reason": "thrown for throw-1",
      "klio-dead-letter-node": "work",
      "klio-dead-letter-attempts": "3",
    });
    expect(rig.outcomes("processed")).toHaveLength(1);
    expect(rig.outcomes("skipped")).toHaveLength(1);
  });

  it("is named by its own file and line", async () => {
    await start();
    await rig.publish(["throw-1"]);
    await rig.until(() => rig.outcomes("dead-letter").length === 1, "the dead letter");
    const stack = String(rig.events.find((e) => e.event === "log" && e["severity"] === "ERROR")?.["message"]);
    const lines = readFileSync(join(job, "src/run.ts"), "utf8").split("\n");
    const line = lines.findIndex((l) => l.includes("thrown for")) + 1;
    expect(stack).toContain(`src/run.ts:${line}:`);
  });

  it("ends its worker when it takes too long, however it does so", async () => {
    const jobConfig =
      "  workers: {count: 1, concurrency: 2}\n  delivery: {attempts: 1, timeout: 1s, ack_deadline: 10s, dead_letter: DEAD}";
    await start({ jobConfig, environment: { BLOCK_MS: "60000" } });
    await rig.publish(["hang-1"]);
    await rig.untilDone(1);
    await rig.publish(["block-1"]);
    await rig.untilDone(2);
    await rig.publish(["ok-1"]);
    await rig.untilDone(3);
    const outcomes: Record<string, unknown> = Object.fromEntries(
      rig.outcomes().map((o) => [o["element"], o["code"] ?? o["outcome"]]),
    ) as Record<string, unknown>;
    expect(outcomes).toEqual({ "hang-1": "TIMEOUT", "block-1": "TIMEOUT", "ok-1": "processed" });
  });
});

describe("a worker", () => {
  it("that leaves a process behind which holds its pipes is replaced all the same", async () => {
    await start({
      jobConfig:
        "  workers: {count: 1, concurrency: 1}\n  delivery: {attempts: 1, ack_deadline: 10s, dead_letter: DEAD}",
    });
    await rig.publish(["escape-1", "ok-1"]);
    await rig.untilDone(2, 30_000);
    expect(rig.outcomes("dead-letter")).toMatchObject([{ element: "escape-1", code: "WORKER_DIED" }]);
    expect(await rig.stop()).toBe(0);
  });

  it("takes and gives large messages, many at a time", async () => {
    await start({
      jobConfig:
        "  workers: {count: 1, concurrency: 8}\n  delivery: {attempts: 1, ack_deadline: 60s, dead_letter: DEAD}",
      environment: { LARGE_BYTES: "7000000" },
    });
    const payload = Buffer.alloc(7_000_000, "p");
    await rig.publish(
      Array.from({ length: 8 }, (_, i) => `large-${i}`),
      { payload },
    );
    await rig.untilDone(8, 50_000);
    expect(rig.outcomes("processed")).toHaveLength(8);
    expect(rig.count("publish", "fault-out")).toBe(8);
  });
});

describe("storage that does not answer", () => {
  it("costs no message its attempts", async () => {
    await start({
      jobConfig: "  delivery: {attempts: 1, retry_delay: 50ms, ack_deadline: 10s, dead_letter: DEAD}",
      storagePort: await freePort(),
    });
    const { port, root: folder } = rig.storage;
    await rig.storage.close();
    await rig.publish(["ok-1", "ok-2"]);
    await sleep(4_000);
    const { startStorage } = await import("@klio/emulators");
    rig.storage = await startStorage({ root: folder, port });
    await rig.untilDone(2, 50_000);
    expect(rig.outcomes("processed")).toHaveLength(2);
  });
});

describe("names", () => {
  it("hostile ones are processed like any other, or dead-lettered where the output's name would be illegal", async () => {
    await start({ outputSuffix: "" });
    const before = readdirSync(rig.folder).sort();
    const legal = [
      "../x",
      "../../../x",
      "🎵💿",
      "a/../b",
      "/etc/passwd",
      "a\\b",
      "$(touch x)",
      "-rf",
      "{{x}}",
      "q\"'",
      "x".repeat(1_020),
    ];
    const illegal = ["x".repeat(1_024), "a\nb"];
    await rig.publish([...legal, ...illegal]);
    await rig.untilDone(legal.length + illegal.length);
    expect(
      rig
        .outcomes("processed")
        .map((o) => o["element"])
        .sort(),
    ).toEqual([...legal].sort());
    expect(rig.outcomes("dead-letter").map((o) => o["code"])).toEqual(["ILLEGAL_OBJECT_NAME", "ILLEGAL_OBJECT_NAME"]);
    for (const element of legal) expect((await rig.output(`job/${element}`))?.toString()).toBe(`made from ${element}`);
    expect(
      readdirSync(rig.folder)
        .sort()
        .filter((f) => !before.includes(f)),
    ).toEqual([]);
  });
});

describe("stopping", () => {
  it("ends workers that loop when their supervisor is killed", async () => {
    await start({ environment: { BLOCK_MS: "60000" } });
    await rig.publish(["block-1"]);
    await sleep(1_000);
    const workers = rig.workers();
    expect(workers.length).toBeGreaterThan(0);
    rig.process.signal("SIGKILL");
    await rig.process.exited;
    const alive = () => workers.filter((pid) => isRunning(pid));
    await rig.until(() => alive().length === 0, "the workers are gone", 5_000);
  });
});

describe("a repeated delivery", () => {
  it("of the same message is not processed again; a new request is, when it is forced", async () => {
    await start();
    const [id] = await rig.publish(["ok-1"]);
    await rig.untilDone(1);
    const replay = { data: Buffer.from(encodeMessage(requestMessage({ element: "ok-1" }))) };
    for (const done of [2, 3]) {
      await rig.client.topic("fault-in").publishMessage({ ...replay, attributes: { "klio-id": "replayed" } });
      await rig.untilDone(done);
    }
    expect(
      rig
        .outcomes()
        .map((o) => o["outcome"])
        .sort(),
    ).toEqual(["duplicate", "passed-through", "processed"]);
    await rig.publish(["ok-1"], { force: true });
    await rig.untilDone(4);
    expect(rig.outcomes("processed")).toHaveLength(2);
    expect(rig.writes()).toEqual(["job/ok-1", "job/ok-1"]);
    expect(id).toBeDefined();
  });

  it("of a message that became a dead letter, and whose acknowledgement was lost, is not tried again", async () => {
    await start();
    rig.pubsub.setFaults({ loseAck: 1 });
    await rig.publish(["throw-1"]);
    await rig.until(() => rig.outcomes().length === 1, "it is a dead letter");
    rig.pubsub.setFaults({});
    await rig.until(() => rig.outcomes().length === 2, "it came again");
    expect(rig.outcomes().map((o) => o["outcome"])).toEqual(["dead-letter", "duplicate"]);
    expect(rig.ledger.count("worker/throw")).toBe(3);
  });
});

async function readDeadLetters(count: number) {
  const messages: { data: Buffer; attributes: Record<string, string> }[] = [];
  const subscription = rig.client.subscription("fault-dead-sub");
  subscription.on("message", (m: { data: Buffer; attributes: Record<string, string>; ack(): void }) => {
    messages.push(m);
    m.ack();
  });
  await rig.until(() => messages.length >= count, "the dead letters");
  await subscription.close();
  return messages;
}
