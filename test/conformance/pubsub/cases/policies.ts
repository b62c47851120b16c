import { setTimeout as sleep } from "node:timers/promises";
import { type Message, PubSub } from "@google-cloud/pubsub";
import { expect } from "vitest";
import { type Cases, codes, refused, texts, until } from "../context.js";

const short = (name: string) => name.split("/").at(-1) ?? "";

export const policyCases: Cases = {
  async ordering(c) {
    const { topic, subscription } = await c.pair({ enableMessageOrdering: true });
    const keys = ["red", "green"];
    for (let i = 0; i < 20; i += 1) {
      for (const orderingKey of keys) await c.publish(topic, { data: `${orderingKey}-${i}`, orderingKey });
    }
    const client = new PubSub({ projectId: c.project, apiEndpoint: c.address, emulatorMode: true });
    const seen: string[] = [];
    const consumer = client.subscription(short(subscription));
    consumer.on("message", (m: Message) => {
      seen.push(m.data.toString());
      m.ack();
    });
    await until(() => seen.length === 40, "all messages");
    await consumer.close();
    await client.close();
    for (const key of keys) {
      expect(seen.filter((s) => s.startsWith(key))).toEqual(Array.from({ length: 20 }, (_, i) => `${key}-${i}`));
    }
    const second = await c.pair({ enableMessageOrdering: true });
    for (let i = 0; i < 5; i += 1) await c.publish(second.topic, { data: `${i}`, orderingKey: "blue" });
    const batch = await c.pullOnce(second.subscription, 10, 5_000);
    expect(texts(batch)).toEqual(["0", "1", "2", "3", "4"].slice(0, batch.length));
    expect(batch.length).toBeGreaterThan(1);
    expect(await c.pull(second.subscription, 1, 2_000)).toEqual([]); // the key is with somebody
  },

  async "ordering-one-key"(c) {
    const topic = await c.topic();
    const [red, green] = ["red", "green"].map((orderingKey) => ({ data: "x", orderingKey }));
    if (red === undefined || green === undefined) throw new Error("no messages");
    expect(await c.publish(topic, red, red)).toHaveLength(2);
    await refused(c.publish(topic, red, green), codes.invalidArgument);
    await refused(c.publish(topic, red, "no key"), codes.invalidArgument);
  },

  async "ordering-redelivery"(c) {
    const { topic, subscription } = await c.pair({ enableMessageOrdering: true, ackDeadlineSeconds: 60 });
    for (let i = 0; i < 4; i += 1) await c.publish(topic, { data: `${i}`, orderingKey: "key" });
    const first = await c.pull(subscription, 4);
    expect(texts(first)).toEqual(["0", "1", "2", "3"]);
    await c.ack(subscription, [...first.slice(0, 1), ...first.slice(2, 3)]);
    await c.nack(subscription, first.slice(1, 2));
    expect(texts(await c.pull(subscription, 3, 15_000))).toEqual(["1", "2", "3"]);
  },

  async "dead-letter"(c) {
    const dead = await c.pair();
    const { topic, subscription } = await c.pair({
      deadLetterPolicy: { deadLetterTopic: dead.topic, maxDeliveryAttempts: 5 },
    });
    const [id] = await c.publish(topic, { data: "poison", attributes: { own: "kept" } });
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      const received = await c.pull(subscription, 1);
      expect(received[0]?.deliveryAttempt).toBe(attempt);
      await c.nack(subscription, received);
    }
    expect(await c.pull(subscription, 1, 2_000)).toEqual([]);
    const [letter] = await c.pull(dead.subscription, 1);
    expect(texts(letter === undefined ? [] : [letter])).toEqual(["poison"]);
    expect(letter?.message?.messageId).not.toBe(id);
    expect(letter?.message?.attributes).toMatchObject({
      own: "kept",
      CloudPubSubDeadLetterSourceDeliveryCount: "5",
      CloudPubSubDeadLetterSourceSubscription: short(subscription),
      CloudPubSubDeadLetterSourceSubscriptionProject: c.project,
    });
    expect(letter?.message?.attributes?.["CloudPubSubDeadLetterSourceTopicPublishTime"]).toMatch(/^\d{4}-\d\d-\d\dT/);
  },

  async "dead-letter-refused"(c) {
    const topic = await c.topic();
    for (const maxDeliveryAttempts of [4, 101]) {
      const deadLetterPolicy = { deadLetterTopic: topic, maxDeliveryAttempts };
      await refused(c.subscription(topic, { deadLetterPolicy }), codes.invalidArgument, codes.outOfRange);
    }
    const missing = { deadLetterTopic: c.name("topics"), maxDeliveryAttempts: 5 };
    await refused(c.subscription(topic, { deadLetterPolicy: missing }), codes.notFound);
    const subscription = await c.subscription(topic, { deadLetterPolicy: { deadLetterTopic: topic } });
    const [found] = await c.subscriber.getSubscription({ subscription });
    expect(found.deadLetterPolicy?.maxDeliveryAttempts).toBe(5);
  },

  async "retry-policy"(c) {
    const { topic, subscription } = await c.pair({
      retryPolicy: { minimumBackoff: { seconds: 3 }, maximumBackoff: { seconds: 4 } },
    });
    await c.publish(topic, "again");
    let before = 0;
    for (let i = 0; i < 3; i += 1) {
      const received = await c.pull(subscription, 1, 30_000); // it comes after four seconds, but on a busy machine
      expect(texts(received)).toEqual(["again"]);
      if (before > 0) expect(Date.now() - before).toBeGreaterThan(2_800);
      before = Date.now();
      await c.nack(subscription, received);
    }
  },

  async filter(c) {
    const topic = await c.topic();
    const filters: Record<string, readonly string[]> = {
      "attributes:kind": ["a", "b", "quoted"],
      'attributes.kind = "audio"': ["a"],
      'attributes.kind != "audio"': ["b", "plain", "quoted"],
      'hasPrefix(attributes.kind, "vi")': ["b"],
      'attributes:kind AND NOT attributes.kind = "video"': ["a", "quoted"],
      '(attributes.kind = "audio" OR attributes.kind = "video") AND -attributes:hidden': ["a"],
      'attributes."iana.org/language" = "e\\"n"': ["quoted"],
    };
    const subscriptions: [string, readonly string[]][] = [];
    for (const [filter, expected] of Object.entries(filters)) {
      subscriptions.push([await c.subscription(topic, { filter }), expected]);
    }
    await c.publish(
      topic,
      { data: "a", attributes: { kind: "audio" } },
      { data: "b", attributes: { kind: "video", hidden: "yes" } },
      { data: "quoted", attributes: { kind: "text", "iana.org/language": 'e"n' } },
      "plain",
    );
    for (const [subscription, expected] of subscriptions) {
      const received = await c.pull(subscription, 4, 1_500);
      expect(texts(received).sort()).toEqual([...expected].sort());
    }
  },

  async "filter-refused"(c) {
    const topic = await c.topic();
    const malformed = [
      "attributes",
      "attributes.kind",
      'attributes.kind == "x"',
      'attributes.kind = "x" AND',
      'attributes.a = "x" AND attributes.b = "y" OR attributes.c = "z"',
      'data = "x"',
      'attributes.kind = "x',
      "attributes.kind = x",
      "hasPrefix(attributes.kind)",
      "(attributes:kind",
      `attributes.kind = "${"x".repeat(240)}"`,
    ];
    for (const filter of malformed) await refused(c.subscription(topic, { filter }), codes.invalidArgument);
  },

  async "exactly-once"(c) {
    const { topic, subscription } = await c.pair({ enableExactlyOnceDelivery: true });
    await c.publish(topic, "a");
    const first = await c.pull(subscription, 1);
    await c.nack(subscription, first);
    const second = await c.pull(subscription, 1);
    const stale = first[0]?.ackId ?? "";
    const failure = (await c.subscriber.acknowledge({ subscription, ackIds: [stale] }).then(
      () => ({}),
      (error: unknown) => error,
    )) as { code?: number; reason?: string; errorInfoMetadata?: Record<string, string> };
    expect(failure.code).toBe(codes.invalidArgument);
    expect(failure.reason).toBe("EXACTLY_ONCE_ACKID_FAILURE");
    expect(failure.errorInfoMetadata).toEqual({ [stale]: "PERMANENT_FAILURE_INVALID_ACK_ID" });
    await c.ack(subscription, second);
    const client = new PubSub({ projectId: c.project, apiEndpoint: c.address, emulatorMode: true });
    const consumer = client.subscription(short(subscription));
    const outcome = new Promise<string>((resolve) => {
      consumer.on("message", (m: Message) => void m.ackWithResponse().then(resolve, resolve));
    });
    await sleep(500);
    await c.publish(topic, "b");
    expect(await outcome).toBe("SUCCESS");
    await consumer.close();
    await client.close();
  },

  async "exactly-once-stream"(c) {
    const { topic, subscription } = await c.pair({ enableExactlyOnceDelivery: true });
    const { stream, received, responses } = c.stream({ subscription, streamAckDeadlineSeconds: 60 });
    await c.publish(topic, "a");
    await until(() => received.length === 1, "a message");
    expect(responses[0]?.subscriptionProperties?.exactlyOnceDeliveryEnabled).toBe(true);
    const ackId = received[0]?.ackId ?? "";
    stream.write({ ackIds: [ackId] });
    const confirmed = () => responses.flatMap((r) => r.acknowledgeConfirmation?.ackIds ?? []);
    await until(() => confirmed().includes(ackId), "the confirmation", 3_000);
    stream.write({ ackIds: [ackId] });
    const invalid = () => responses.flatMap((r) => r.acknowledgeConfirmation?.invalidAckIds ?? []);
    await until(() => invalid().includes(ackId), "the refusal", 3_000);
    stream.end();
  },
};
