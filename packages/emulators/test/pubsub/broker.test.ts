import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { PubsubMessageSchema, SubscriptionSchema } from "../../gen/google/pubsub/v1/pubsub_pb.js";
import { seekToTime } from "../../src/pubsub/broker/seek.js";
import type { FaultEvent } from "../../src/fault-schedule.js";
import { diskStorage } from "../../src/pubsub/log/storage.js";
import { checkMessage } from "../../src/pubsub/message.js";
import { completed } from "../../src/pubsub/services/subscription-resource.js";
import { Bench, idsOf, Taker, textsOf } from "./bench-broker.js";

const hour = 3_600_000;
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => `${i + from}`);

let bench: Bench;
beforeEach(() => {
  bench = new Bench();
});
afterEach(() => {
  bench.close();
});

describe("a subscription", () => {
  it("goes on after a restart with what was not acknowledged, however that lies", () => {
    const topic = bench.topic();
    const taker = new Taker();
    bench.subscription(topic).attach(taker);
    bench.publish(topic, numbers(20));
    const first = taker.take();
    bench.found().acknowledge(idsOf(first.filter((_, i) => i % 2 === 0)));
    for (const tidy of [false, true, false]) {
      bench.restart(tidy);
      const again = new Taker();
      bench.found().attach(again);
      expect(again.texts()).toEqual(numbers(20).filter((_, i) => i % 2 === 1));
    }
    bench.publish(topic, ["new"]);
    bench.restart();
    const last = new Taker();
    bench.found().attach(last);
    expect(last.texts().at(-1)).toBe("new");
  });

  it("drops what is older than its retention, handed out or not", () => {
    const topic = bench.topic();
    const subscription = bench.subscription(topic, { messageRetentionDuration: durationFromMs(hour) });
    bench.publish(topic, ["old", "held"]);
    const taker = new Taker(1);
    subscription.attach(taker);
    expect(taker.texts()).toEqual(["old"]);
    bench.pass(2 * hour);
    bench.publish(topic, ["new"]);
    bench.pass(20_000);
    expect(taker.texts()).toEqual(["new"]);
  });

  it("has its default retention again when the field is cleared", () => {
    const topic = bench.topic();
    const subscription = bench.subscription(topic, { messageRetentionDuration: durationFromMs(hour) });
    const { messageRetentionDuration: _, ...cleared } = subscription.resource;
    bench.broker.updateSubscription(subscription, completed(create(SubscriptionSchema, cleared)));
    bench.pass(1);
    bench.publish(topic, ["kept"]);
    bench.pass(24 * hour);
    const taker = new Taker();
    subscription.attach(taker);
    expect(taker.texts()).toEqual(["kept"]);
  });

  it("is deleted when nobody used it for the time of its expiration policy", async () => {
    const topic = bench.topic();
    const subscription = bench.subscription(topic, { expirationPolicy: { ttl: durationFromMs(24 * hour) } });
    const taker = new Taker();
    subscription.attach(taker);
    bench.now += 30 * hour;
    await expect.poll(() => bench.broker.subscriptions.size).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 1_200)); // the broker looks each second
    expect(bench.broker.subscriptions.size).toBe(1);
    subscription.detach(taker, []);
    bench.now += 30 * hour;
    await expect.poll(() => bench.broker.subscriptions.size, { timeout: 5_000 }).toBe(0);
  });

  it("delivers a message again that is too large for the room there is, before smaller ones", () => {
    const topic = bench.topic();
    const subscription = bench.subscription(topic);
    class Small extends Taker {
      override hasRoom(bytes = 0): boolean {
        return this.outstanding === 0 || bytes < 500;
      }
    }
    const taker = new Small();
    subscription.attach(taker);
    bench.publish(topic, ["x".repeat(1_000)]);
    subscription.modifyDeadline(idsOf(taker.take()), 0);
    bench.publish(topic, ["small"]);
    const held = taker.take();
    bench.pass(100);
    bench.publish(topic, numbers(5));
    expect(taker.take()).toEqual([]);
    subscription.acknowledge(idsOf(held));
    expect(textsOf(taker.take())[0]).toBe("x".repeat(1_000));
  });

  it("seeks to a time with messages open, and takes their old acknowledgements for nothing", () => {
    const topic = bench.topic();
    const subscription = bench.subscription(topic, { retainAckedMessages: true });
    const taker = new Taker();
    subscription.attach(taker);
    bench.publish(topic, ["a", "b"]);
    const first = taker.take();
    subscription.acknowledge(idsOf(first.slice(0, 1)));
    bench.broker.seek(subscription, seekToTime(subscription, bench.now - 1));
    expect(taker.texts()).toEqual(["a", "b"]);
    expect(subscription.acknowledge(idsOf(first)).invalid).toHaveLength(2);
    bench.restart();
    const again = new Taker();
    bench.found().attach(again);
    expect(again.texts()).toEqual(["a", "b"]);
  });
});

describe("an ordering key", () => {
  it("is with one consumer at a time, and waits for one that left until its deadline", () => {
    const topic = bench.topic();
    const subscription = bench.subscription(topic, { enableMessageOrdering: true });
    const [one, two] = [new Taker(2), new Taker()];
    subscription.attach(one);
    bench.publish(topic, numbers(5), "key");
    subscription.attach(two);
    bench.publish(topic, numbers(2, 5), "key");
    expect([one.texts(), two.texts()]).toEqual([["0", "1"], []]);
    subscription.detach(one, []);
    bench.pass(5_000);
    expect(two.texts()).toEqual([]);
    bench.pass(6_000);
    bench.pass(100);
    expect(two.texts()).toEqual(numbers(7));
  });

  it("comes one by one to a consumer that cannot keep an order", () => {
    const topic = bench.topic();
    const subscription = bench.subscription(topic, { enableMessageOrdering: true });
    const taker = new Taker(100, true);
    subscription.attach(taker);
    bench.publish(topic, numbers(3), "key");
    bench.publish(topic, ["other"], "other key");
    const first = taker.take();
    expect(textsOf(first)).toEqual(["0", "other"]);
    subscription.acknowledge(idsOf(first));
    expect(taker.texts()).toEqual(["1"]);
  });

  it("with exactly-once delivery does not bring again what was confirmed behind one that was not", () => {
    const topic = bench.topic();
    const subscription = bench.subscription(topic, { enableMessageOrdering: true, enableExactlyOnceDelivery: true });
    const taker = new Taker();
    subscription.attach(taker);
    bench.publish(topic, ["a", "b", "c"], "key");
    const [a, b] = taker.take();
    expect(subscription.acknowledge([b?.ackId ?? ""]).invalid).toEqual([]);
    subscription.modifyDeadline([a?.ackId ?? ""], 0);
    bench.pass(100);
    expect(taker.texts()).toEqual(["a", "c"]);
    bench.restart();
    const again = new Taker();
    bench.found().attach(again);
    expect(again.texts()).toEqual(["a", "c"]);
  });

  it("goes on in order when its first message becomes a dead letter, even on its own topic", () => {
    const topic = bench.topic();
    const deadLetterPolicy = { deadLetterTopic: topic.name, maxDeliveryAttempts: 5 };
    const subscription = bench.subscription(topic, { enableMessageOrdering: true, deadLetterPolicy });
    const taker = new Taker(3);
    subscription.attach(taker);
    bench.publish(topic, ["poison", "a", "b"], "key");
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      const [first, ...rest] = taker.take();
      expect(textsOf(first === undefined ? [] : [first])).toEqual(["poison"]);
      expect([first?.attempt, ...rest.map((d) => d.attempt)]).toEqual([attempt, 1, 1]);
      subscription.modifyDeadline([first?.ackId ?? ""], 0);
      bench.pass(100);
    }
    expect(taker.texts()).toEqual(["a", "b", "poison"]);
  });

  it("of ten thousand messages that wait does not keep others from going on", () => {
    const topic = bench.topic();
    const subscription = bench.subscription(topic, { enableMessageOrdering: true });
    const [stuck, free] = [new Taker(1), new Taker()];
    subscription.attach(stuck);
    bench.publish(topic, ["first"], "stuck");
    subscription.attach(free);
    for (let i = 0; i < 20; i += 1) bench.publish(topic, numbers(500), "stuck");
    bench.publish(topic, ["passes"], "free");
    for (let i = 0; i < 100 && free.deliveries.length === 0; i += 1) subscription.dispatch();
    expect(free.texts()).toEqual(["passes"]);
  });
});

describe("what the disk has lost", () => {
  it("of the journal costs that record alone, and no topic's messages", () => {
    const folder = mkdtempSync(join(tmpdir(), "klio-broker-"));
    try {
      const storage = diskStorage(folder);
      const onDisk = new Bench(storage);
      const topics = ["a", "b", "c"].map((id) => onDisk.topic({ name: `projects/p/topics/${id}` }));
      onDisk.broker.close(new Error("killed") as never, false);
      const journal = join(folder, "journal");
      const bytes = readFileSync(journal);
      const second = 8 + bytes.readUInt32LE(0);
      bytes[second + 1] = (bytes[second + 1] ?? 0) ^ 0x01; // in its length
      writeFileSync(journal, bytes);
      const after = new Bench(storage);
      expect([...after.broker.topics.keys()]).toEqual(["projects/p/topics/a", "projects/p/topics/c"]);
      expect(readdirSync(join(folder, "topics"))).toHaveLength(topics.length);
      expect(after.warnings.join("\n")).toContain("damaged");
      after.close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("is not taken for acknowledged when new messages get its place", () => {
    const folder = mkdtempSync(join(tmpdir(), "klio-broker-"));
    try {
      const storage = diskStorage(folder);
      const onDisk = new Bench(storage);
      const topic = onDisk.topic();
      const taker = new Taker();
      onDisk.subscription(topic).attach(taker);
      onDisk.publish(topic, ["a", "b", "c"]);
      onDisk.found().acknowledge(idsOf(taker.take()));
      onDisk.broker.close(new Error("killed") as never, false);
      const [log = ""] = readdirSync(join(folder, "topics", topic.uid));
      truncateSync(join(folder, "topics", topic.uid, log), 10);
      const after = new Bench(storage);
      after.publish(topic, ["d", "e", "f"]);
      after.restart();
      const again = new Taker();
      after.found().attach(again);
      expect(again.texts()).toEqual(["d", "e", "f"]);
      after.close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("leaves nothing of a topic that is gone, and everything of one that is not", () => {
    const folder = mkdtempSync(join(tmpdir(), "klio-broker-"));
    try {
      const onDisk = new Bench(diskStorage(folder));
      const topic = onDisk.topic();
      onDisk.subscription(topic);
      onDisk.publish(topic, ["kept"]);
      onDisk.broker.deleteTopic(topic);
      expect(readdirSync(join(folder, "topics"))).toEqual([topic.uid]);
      onDisk.restart();
      const taker = new Taker();
      onDisk.found().attach(taker);
      expect(taker.texts()).toEqual(["kept"]);
      onDisk.broker.deleteSubscription(onDisk.found());
      expect(readdirSync(join(folder, "topics"))).toEqual([]);
      onDisk.close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("a subscription that changes", () => {
  it("to exactly-once delivery lets go of what was acknowledged out of order before", () => {
    const topic = bench.topic();
    const subscription = bench.subscription(topic, { enableMessageOrdering: true });
    const taker = new Taker();
    subscription.attach(taker);
    bench.publish(topic, ["a", "b"], "key");
    const [a, b] = taker.take();
    subscription.acknowledge([b?.ackId ?? ""]);
    const changed = create(SubscriptionSchema, { ...subscription.resource, enableExactlyOnceDelivery: true });
    bench.broker.updateSubscription(subscription, changed);
    subscription.acknowledge([a?.ackId ?? ""]);
    subscription.detach(taker, []);
    const next = new Taker();
    subscription.attach(next);
    bench.publish(topic, ["c"], "key");
    expect(next.texts()).toEqual(["c"]);
  });
});

describe("faults", () => {
  /** What came, and at which of its opportunities each fault struck. */
  const run = (seed: number) => {
    const probabilities = { duplicate: 0.2, reorder: 0.2, expireDeadline: 0.1, loseAck: 0.1, delay: 0.1 };
    const struck: FaultEvent[] = [];
    const faulty = new Bench(undefined, { seed, ...probabilities }, (event) => struck.push(event));
    const topic = faulty.topic();
    const taker = new Taker();
    faulty.subscription(topic).attach(taker);
    const seen: string[] = [];
    const consume = (ms: number) => {
      const deliveries = taker.take();
      seen.push(...textsOf(deliveries));
      faulty.found().acknowledge(idsOf(deliveries));
      faulty.pass(ms);
    };
    for (let i = 0; i < 30; i += 1) {
      faulty.publish(topic, numbers(10, 10 * i));
      for (let round = 0; round < 3; round += 1) consume(500);
    }
    for (let i = 0; i < 200; i += 1) consume(1_000);
    faulty.close();
    // How many opportunities there are may differ: 300 of each there are for sure.
    const sure = struck.filter((s) => s.opportunity <= 300).map((s) => `${s.fault} ${s.opportunity}`);
    return { seen, schedule: sure.sort() };
  };

  it("are the same for the same seed, and others for another; nothing is lost", () => {
    const first = run(7);
    expect(run(7).schedule).toEqual(first.schedule);
    expect(run(8).schedule).not.toEqual(first.schedule);
    expect(first.schedule.length).toBeGreaterThan(150);
    expect(first.seen.length).toBeGreaterThan(330);
    expect([...new Set(first.seen)].sort((a, b) => Number(a) - Number(b))).toEqual(numbers(300));
  });
});

describe("attributes", () => {
  it("may carry a client's trace, and begin with goog for nothing else", () => {
    const check = (key: string) => checkMessage(create(PubsubMessageSchema, { attributes: { [key]: "x" } }));
    for (const key of ["googclient_traceparent", "googclient_tracestate"]) expect(check(key)).toBe(key.length + 1);
    for (const key of ["google-trace", "goog"]) expect(() => check(key)).toThrow("must not begin with goog");
  });

  it("that would be no headers are left out of a push, not the message", async () => {
    const { createServer } = await import("node:http");
    const seen: string[] = [];
    const server = createServer((request, response) => {
      seen.push(String(request.headers["x-goog-pubsub-message-id"]));
      response.statusCode = 204;
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const topic = bench.topic();
    bench.subscription(topic, {
      pushConfig: {
        pushEndpoint: `http://127.0.0.1:${port}/`,
        wrapper: { case: "noWrapper", value: { writeMetadata: true } },
      },
    });
    const attributes = { "content-length": "5", connection: "close", "transfer-encoding": "chunked", ü: "x" };
    bench.broker.publish(topic, [create(PubsubMessageSchema, { data: Buffer.from("x"), attributes })]);
    await expect.poll(() => seen.length).toBe(1);
    server.close();
    server.closeAllConnections();
  });
});
