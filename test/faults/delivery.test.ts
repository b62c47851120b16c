import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { encodeMessage, requestMessage } from "@klio/runtime/message";
import { afterEach, describe, expect, it } from "vitest";
import { checkLedger } from "../support/check-ledger.js";
import { Rig, type RigOptions, root } from "../support/rig.js";

const job = join(root, "test/fixtures/jobs/faults");
const soak = process.env["KLIO_SOAK"] !== undefined;
let rig: Rig;

async function start(options: Partial<RigOptions> = {}): Promise<Rig> {
  rig = await Rig.start({ job, ...options });
  await rig.run();
  return rig;
}

afterEach(async () => {
  await rig.close();
});

/** What is written for the fault job's messages, by message id. */
function objectsOf(ids: readonly string[], elements: readonly string[]): Map<string, string> {
  return new Map(ids.map((id, i) => [id, `job/${elements[i] ?? ""}`]));
}

describe("a worker that is killed", () => {
  it.each(["killbefore", "killduring", "killafter"])(
    "loses nothing and repeats nothing: %s the upload",
    async (kind) => {
      await start();
      const each = soak ? 50 : 4;
      const elements = Array.from({ length: each }, (_, i) => [`${kind}-${i}`, `ok-${i}-a`, `ok-${i}-b`]).flat();
      const ids = await rig.publish(elements);
      await rig.untilDone(elements.length, 180_000);
      expect(rig.outcomes("dead-letter")).toEqual([]);
      expect(checkLedger(rig, { node: "work", objects: objectsOf(ids, elements) })).toEqual([]);
      for (const element of elements) {
        const expected = kind === "killduring" && element.startsWith(kind) ? 600_000 : `made from ${element}`.length;
        expect((await rig.output(`job/${element}`))?.length).toBe(expected);
      }
      expect(await rig.stop()).toBe(0);
    },
  );

  it("makes only its own messages run again", async () => {
    await start({
      jobConfig:
        "  workers: {count: 2, concurrency: 1}\n  delivery: {retry_delay: 50ms, ack_deadline: 10s, dead_letter: DEAD}",
    });
    const elements = ["killbefore-1", "slow-1", "slow-2", "slow-3"];
    await rig.publish(elements);
    await rig.untilDone(4);
    const attempts: Record<string, unknown> = Object.fromEntries(
      rig.outcomes().map((o) => [o["element"], o["attempts"]]),
    ) as Record<string, unknown>;
    expect(attempts).toEqual({ "killbefore-1": 2, "slow-1": 1, "slow-2": 1, "slow-3": 1 });
    expect(rig.count("deliver", "fault-in-job")).toBe(4);
  });

  it("charges nobody when several were in hand, and runs each of them alone", async () => {
    await start({
      jobConfig:
        "  workers: {count: 1, concurrency: 4}\n  delivery: {attempts: 1, ack_deadline: 10s, dead_letter: DEAD}",
    });
    await rig.publish(["slow-1", "slow-2", "slow-3", "killbefore-1"]);
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

describe("a worker killed from outside at random", () => {
  it(`loses nothing over ${soak ? "2,000" : "200"} messages`, async () => {
    const seed = Number(process.env["KLIO_SEED"] ?? Math.floor(Math.random() * 1e9));
    console.log(`seed ${seed}`);
    await start({
      jobConfig:
        "  workers: {count: 2, concurrency: 4}\n  delivery: {attempts: 50, retry_delay: 50ms, ack_deadline: 10s, dead_letter: DEAD}",
      environment: { SLOW_MS: "50" },
    });
    const elements = Array.from({ length: soak ? 2_000 : 200 }, (_, i) => `slow-${i}`);
    const ids = await rig.publish(elements);
    let random = seed;
    const next = () => (random = (random * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31;
    let kills = 0;
    while (rig.acknowledged() < elements.length) {
      await sleep(100 + next() * 200);
      const workers = rig.workers();
      const victim = workers[Math.floor(next() * workers.length)];
      if (victim === undefined || kills >= elements.length / 20) continue;
      process.kill(victim, "SIGKILL");
      kills += 1;
    }
    expect(kills).toBeGreaterThan(2);
    expect(checkLedger(rig, { node: "work", objects: objectsOf(ids, elements) })).toEqual([]);
    expect(await rig.stop()).toBe(0);
  }, 600_000);
});

describe("a lease", () => {
  it("is kept while user code blocks its event loop six times as long as the deadline", async () => {
    const blockMs = soak ? 60_000 : 25_000;
    await start({ environment: { BLOCK_MS: String(blockMs) } });
    const [id] = await rig.publish(["block-1"]);
    await rig.untilDone(1, blockMs + 30_000);
    expect(rig.count("deliver", "fault-in-job", id)).toBe(1);
    expect(rig.outcomes("processed")).toMatchObject([{ attempts: 1 }]);
  }, 120_000);
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
    await rig.untilDone(2, 7_000);
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
  it("finishes what is in hand, gives back the rest, repeats nothing, and leaves nothing behind", async () => {
    await start({
      jobConfig: "  workers: {count: 2, concurrency: 2}\n  delivery: {ack_deadline: 10s, dead_letter: DEAD}",
      environment: { SLOW_MS: "200" },
    });
    const restarts = soak ? 100 : 5;
    const elements = Array.from({ length: restarts * 10 }, (_, i) => `slow-${i}`);
    const ids = await rig.publish(elements);
    for (let i = 0; i < restarts; i += 1) {
      await sleep(300);
      const workers = rig.workers();
      expect(await rig.stop()).toBe(0);
      for (const pid of workers) expect(() => process.kill(pid, 0)).toThrow();
      expect(readdirSync(rig.temporary())).toEqual([]);
      await rig.run();
    }
    await rig.untilDone(elements.length, 120_000);
    expect(checkLedger(rig, { node: "work", objects: objectsOf(ids, elements) })).toEqual([]);
    expect(rig.of("publish", "fault-out")).toHaveLength(elements.length);
    expect(rig.events.filter((e) => e.event === "log" || e.event === "retry")).toEqual([]);
  }, 600_000);

  it("ends workers that loop when their supervisor is killed", async () => {
    await start({ environment: { BLOCK_MS: "60000" } });
    await rig.publish(["block-1"]);
    await sleep(1_000);
    const workers = rig.workers();
    expect(workers.length).toBeGreaterThan(0);
    await rig.stop("SIGKILL");
    const alive = () => workers.filter((pid) => isAlive(pid));
    await rig.until(() => alive().length === 0, "the workers are gone", 5_000);
  });
});

describe("the broker", () => {
  it("may be restarted: the job takes up its work again by itself", async () => {
    await start();
    await rig.publish(["ok-1"]);
    await rig.untilDone(1);
    const { port } = rig.pubsub;
    await rig.pubsub.close();
    await sleep(1_000);
    const { startPubSub } = await import("@klio/emulators");
    rig.pubsub = await startPubSub({ port, observe: (event) => rig.ledger.push(event) });
    expect(rig.pubsub.port).toBe(port);
    await rig.createResources();
    await rig.publish(["ok-2"]);
    await rig.untilDone(2, 15_000);
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
    expect(rig.writes).toEqual(["job/ok-1", "job/ok-1"]);
    expect(id).toBeDefined();
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

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
