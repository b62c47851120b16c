import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Message, PubSub, type Subscription, v1 } from "@google-cloud/pubsub";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Broker, brokerTargets } from "../support/targets.js";

process.env["METADATA_SERVER_DETECTION"] = "none";
const project = "conformance-project";
const notFound = 5;
const alreadyExists = 6;

async function until(condition: () => boolean, ms = 20_000): Promise<void> {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) throw new Error("waited in vain");
    await sleep(20);
  }
}

function collect(
  subscription: Subscription,
  handle: (m: Message) => void = (m) => {
    m.ack();
  },
): Message[] {
  const seen: Message[] = [];
  subscription.on("message", (message: Message) => {
    seen.push(message);
    handle(message);
  });
  return seen;
}

describe.each(brokerTargets)("Pub/Sub as the official client sees it: $name", (target) => {
  const run = target.missing === undefined || process.env["CI"] === "true" ? it : it.skip;
  let broker: Broker;
  let client: PubSub;
  let host: string;
  let port: number;

  beforeAll(async () => {
    if (target.missing !== undefined) {
      if (process.env["CI"] === "true") throw new Error(target.missing);
      return;
    }
    broker = await target.start();
    host = broker.address.split(":")[0] ?? "";
    port = Number(broker.address.split(":")[1]);
    client = new PubSub({ projectId: project, apiEndpoint: broker.address, emulatorMode: true });
  });

  afterAll(async () => {
    if (target.missing !== undefined) return;
    await client.close();
    await broker.close();
  });

  async function pair(options: { ordered?: boolean; ackDeadlineSeconds?: number } = {}) {
    const id = `t-${randomUUID()}`;
    const [topic] = await client.createTopic(id, {});
    const [subscription] = await topic.createSubscription(`${id}-s`, {
      ackDeadlineSeconds: options.ackDeadlineSeconds ?? 10,
      enableMessageOrdering: options.ordered ?? false,
    });
    return { topic, subscription };
  }

  const lowLevel = () => {
    const options = { servicePath: host, port, sslCreds: client.options.sslCreds };
    return new v1.SubscriberClient({ ...options, fallback: false } as ConstructorParameters<
      typeof v1.SubscriberClient
    >[0]);
  };

  run("creates a topic once, and says when it exists or is missing", async () => {
    const id = `t-${randomUUID()}`;
    await client.createTopic(id);
    await expect(client.createTopic(id)).rejects.toMatchObject({ code: alreadyExists });
    expect((await client.topic(id).exists())[0]).toBe(true);
    await client.topic(id).delete();
    expect((await client.topic(id).exists())[0]).toBe(false);
    await expect(client.topic(id).publishMessage({ data: Buffer.from("x") })).rejects.toMatchObject({ code: notFound });
  });

  run("creates a subscription once, only on a topic that exists", async () => {
    const { topic, subscription } = await pair();
    const id = subscription.name.split("/").at(-1) ?? "";
    await expect(topic.createSubscription(id)).rejects.toMatchObject({ code: alreadyExists });
    await expect(client.topic("missing-topic").createSubscription(`s-${randomUUID()}`)).rejects.toMatchObject({
      code: notFound,
    });
    const [metadata] = await subscription.getMetadata();
    expect(metadata).toMatchObject({ topic: topic.name, ackDeadlineSeconds: 10 });
  });

  run("lists topics and subscriptions page by page", async () => {
    const topics = await Promise.all(Array.from({ length: 5 }, () => pair()));
    const [all] = await client.getTopics({ pageSize: 2, autoPaginate: true });
    const names = all.map((t) => t.name);
    for (const { topic } of topics) expect(names).toContain(topic.name);
    const [subscriptions] = await client.getSubscriptions({ pageSize: 2, autoPaginate: true });
    for (const { subscription } of topics) expect(subscriptions.map((s) => s.name)).toContain(subscription.name);
  });

  run("delivers bytes, attributes and ids as they were published", async () => {
    const { topic, subscription } = await pair();
    const seen = collect(subscription);
    const data = Buffer.from([0, 1, 2, 255, 254]);
    const id = await topic.publishMessage({ data, attributes: { clé: "Ünïcødé 🎵" } });
    await until(() => seen.length === 1);
    expect(seen[0]?.data.equals(data)).toBe(true);
    expect(seen[0]?.attributes).toEqual({ clé: "Ünïcødé 🎵" });
    expect(seen[0]?.id).toBe(id);
    expect(Math.abs((seen[0]?.publishTime.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
    await subscription.close();
  });

  run("delivers each message once to each subscription, and not again once acknowledged", async () => {
    const { topic, subscription } = await pair();
    const [other] = await topic.createSubscription(`o-${randomUUID()}`, { ackDeadlineSeconds: 10 });
    const first = collect(subscription);
    const second = collect(other);
    const ids = await Promise.all(
      Array.from({ length: 300 }, (_, i) => topic.publishMessage({ data: Buffer.from(`${i}`) })),
    );
    await until(() => first.length >= 300 && second.length >= 300);
    await sleep(12_000);
    expect(new Set(first.map((m) => m.id))).toEqual(new Set(ids));
    expect(first).toHaveLength(300);
    expect(second).toHaveLength(300);
    await Promise.all([subscription.close(), other.close()]);
  });

  run("delivers again at once what was given back", async () => {
    const { topic, subscription } = await pair();
    let deliveries = 0;
    const seen = collect(subscription, (m) => {
      deliveries += 1;
      if (deliveries < 3) m.nack();
      else m.ack();
    });
    await topic.publishMessage({ data: Buffer.from("again") });
    await until(() => seen.length === 3);
    expect(new Set(seen.map((m) => m.id)).size).toBe(1);
    await subscription.close();
  });

  run("delivers again what was not acknowledged before its deadline", async () => {
    const { topic, subscription } = await pair();
    await topic.publishMessage({ data: Buffer.from("late") });
    const subscriber = lowLevel();
    const request = { subscription: subscription.name, maxMessages: 10 };
    const [first] = await subscriber.pull(request);
    expect(first.receivedMessages).toHaveLength(1);
    await sleep(11_500);
    const [second] = await subscriber.pull(request);
    expect(second.receivedMessages?.[0]?.message?.messageId).toBe(first.receivedMessages?.[0]?.message?.messageId);
    await subscriber.close();
  });

  run("leaves a message alone while its deadline is extended", async () => {
    const { topic, subscription } = await pair();
    await topic.publishMessage({ data: Buffer.from("slow") });
    const subscriber = lowLevel();
    const request = { subscription: subscription.name, maxMessages: 10, returnImmediately: true };
    const [pulled] = await subscriber.pull({ subscription: subscription.name, maxMessages: 10 });
    const ackId = pulled.receivedMessages?.[0]?.ackId ?? "";
    for (let i = 0; i < 4; i += 1) {
      await subscriber.modifyAckDeadline({
        subscription: subscription.name,
        ackIds: [ackId],
        ackDeadlineSeconds: 10,
      });
      await sleep(3_500);
      const [more] = await subscriber.pull(request);
      expect(more.receivedMessages ?? []).toHaveLength(0);
    }
    await subscriber.acknowledge({ subscription: subscription.name, ackIds: [ackId] });
    await subscriber.close();
  });

  run("keeps the order of an ordering key", async () => {
    const { topic, subscription } = await pair({ ordered: true });
    const ordered = client.topic(topic.name, { messageOrdering: true });
    const seen = collect(subscription);
    const published: Promise<string>[] = [];
    for (let i = 0; i < 60; i += 1) {
      published.push(ordered.publishMessage({ data: Buffer.from(`${i}`), orderingKey: `key-${i % 3}` }));
    }
    await Promise.all(published);
    await until(() => seen.length >= 60);
    for (const key of ["key-0", "key-1", "key-2"]) {
      const order = seen.filter((m) => m.orderingKey === key).map((m) => Number(m.data.toString()));
      expect(order).toEqual([...order].sort((a, b) => a - b));
      expect(order).toHaveLength(20);
    }
    await subscription.close();
  });

  run("never has more outstanding on a stream than the client asked for", async () => {
    const { topic, subscription } = await pair();
    await Promise.all(Array.from({ length: 50 }, (_, i) => topic.publishMessage({ data: Buffer.from(`${i}`) })));
    const subscriber = lowLevel();
    const stream = subscriber.streamingPull();
    const ackIds: string[] = [];
    let outstanding = 0;
    let most = 0;
    let done = 0;
    stream.on("error", () => undefined);
    stream.on("data", (response: { receivedMessages?: { ackId?: string }[] }) => {
      for (const message of response.receivedMessages ?? []) {
        ackIds.push(message.ackId ?? "");
        outstanding += 1;
      }
      most = Math.max(most, outstanding);
    });
    stream.write({
      subscription: subscription.name,
      streamAckDeadlineSeconds: 10,
      maxOutstandingMessages: 5,
      maxOutstandingBytes: 1_000_000,
    });
    while (done < 50) {
      await until(() => ackIds.length > 0);
      await sleep(50);
      const batch = ackIds.splice(0);
      outstanding -= batch.length;
      done += batch.length;
      await subscriber.acknowledge({ subscription: subscription.name, ackIds: batch });
    }
    // Google's emulator ignores max_outstanding_messages; the service keeps it:
    // https://cloud.google.com/pubsub/docs/reference/rpc/google.pubsub.v1#streamingpullrequest
    if (target.keepsFlowControl) expect(most).toBeLessThanOrEqual(5);
    expect(done).toBe(50);
    stream.end();
    await subscriber.close();
  });

  run("refuses bad names, empty messages and unknown subscriptions with a code, not with silence", async () => {
    await expect(client.createTopic("ab")).rejects.toMatchObject({ code: 3 });
    const { topic } = await pair();
    const publisher = new v1.PublisherClient({
      servicePath: host,
      port,
      sslCreds: client.options.sslCreds,
    } as ConstructorParameters<typeof v1.PublisherClient>[0]);
    await expect(publisher.publish({ topic: topic.name, messages: [{}] })).rejects.toMatchObject({ code: 3 });
    await publisher.close();
    const failure = new Promise<{ code?: number }>((resolve) => {
      client
        .subscription(`missing-${randomUUID()}`)
        .on("error", resolve)
        .on("message", () => undefined);
    });
    expect((await failure).code).toBe(notFound);
  });
});
