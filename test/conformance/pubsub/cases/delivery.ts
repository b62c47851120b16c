import { setTimeout as sleep } from "node:timers/promises";
import { v1 } from "@google-cloud/pubsub";
import { expect } from "vitest";
import { type Cases, codes, refused, texts, until } from "../context.js";

export const deliveryCases: Cases = {
  async publish(c) {
    const { topic, subscription } = await c.pair();
    const data = Buffer.from([0, 1, 2, 255, 254]);
    const [id] = await c.publish(topic, { data, attributes: { clé: "Ünïcødé 🎵", empty: "" } });
    const [received] = await c.pull(subscription, 1);
    expect(Buffer.from(received?.message?.data as Uint8Array).equals(data)).toBe(true);
    expect(received?.message?.attributes).toEqual({ clé: "Ünïcødé 🎵", empty: "" });
    expect(received?.message?.messageId).toBe(id);
    expect(Math.abs(Number(received?.message?.publishTime?.seconds) - Date.now() / 1_000)).toBeLessThan(60);
    expect(received?.deliveryAttempt).toBe(0);
  },

  async "publish-count"(c) {
    const topic = await c.topic();
    await refused(c.publish(topic), codes.invalidArgument);
    await refused(c.publish(topic, ...Array<string>(1_001).fill("x")), codes.invalidArgument);
    await refused(c.publish(topic, "good", {}), codes.invalidArgument);
    expect(await c.publish(topic, ...Array<string>(1_000).fill("x"))).toHaveLength(1_000);
  },

  async "publish-attributes"(c) {
    const topic = await c.topic();
    const many = Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`k${i}`, "v"]));
    await refused(c.publish(topic, { data: "x", attributes: many }), codes.invalidArgument);
    await refused(c.publish(topic, { data: "x", attributes: { ["k".repeat(257)]: "v" } }), codes.invalidArgument);
    await refused(c.publish(topic, { data: "x", attributes: { k: "ü".repeat(513) } }), codes.invalidArgument);
    await refused(c.publish(topic, { data: "x", attributes: { googclient: "v" } }), codes.invalidArgument);
    await refused(c.publish(topic, { data: "x", orderingKey: "k".repeat(1_025) }), codes.invalidArgument);
    const most = Object.fromEntries(
      Array.from({ length: 100 }, (_, i) => [`${i}`.padEnd(256, "k"), "v".repeat(1_024)]),
    );
    expect(await c.publish(topic, { data: "x", attributes: most, orderingKey: "k".repeat(1_024) })).toHaveLength(1);
  },

  async "publish-size"(c) {
    const { topic, subscription } = await c.pair();
    await refused(c.publish(topic, { data: Buffer.alloc(10_000_001) }), codes.invalidArgument);
    await c.publish(topic, { data: Buffer.alloc(9_900_000, 7) });
    const [received] = await c.pull(subscription, 1);
    expect((received?.message?.data as Uint8Array).length).toBe(9_900_000);
  },

  async "publish-compressed"(c) {
    const { topic, subscription } = await c.pair();
    const [servicePath = "", port = ""] = c.address.split(":");
    const publisher = new v1.PublisherClient({
      servicePath,
      port: Number(port),
      sslCreds: c.client.options.sslCreds,
      "grpc.default_compression_algorithm": 2, // gzip
    } as ConstructorParameters<typeof v1.PublisherClient>[0]);
    await publisher.publish({ topic, messages: [{ data: Buffer.alloc(100_000, "a") }] });
    const [received] = await c.pull(subscription, 1);
    expect((received?.message?.data as Uint8Array).length).toBe(100_000);
    await publisher.close();
  },

  async "fan-out"(c) {
    const { topic, subscription } = await c.pair();
    const other = await c.subscription(topic);
    await c.publish(topic, "a", "b", "c");
    expect(texts(await c.pull(subscription, 3)).sort()).toEqual(["a", "b", "c"]);
    expect(texts(await c.pull(other, 3)).sort()).toEqual(["a", "b", "c"]);
  },

  async pull(c) {
    const { topic, subscription } = await c.pair();
    await c.publish(topic, "a", "b", "c", "d", "e");
    expect(await c.pullOnce(subscription, 2, 5_000)).toHaveLength(2);
    expect(await c.pull(subscription, 3)).toHaveLength(3);
    const started = Date.now();
    const [empty] = await c.subscriber.pull({ subscription, maxMessages: 5, returnImmediately: true });
    expect(empty.receivedMessages ?? []).toHaveLength(0);
    expect(Date.now() - started).toBeLessThan(5_000);
  },

  async "pull-refused"(c) {
    const { subscription } = await c.pair();
    await refused(c.subscriber.pull({ subscription, maxMessages: 0 }), codes.invalidArgument);
    await refused(c.subscriber.pull({ subscription: c.name("subscriptions"), maxMessages: 1 }), codes.notFound);
  },

  async acknowledge(c) {
    const { topic, subscription } = await c.pair();
    await c.publish(topic, "a", "b", "c");
    const received = await c.pull(subscription, 3);
    await c.ack(subscription, received.slice(0, 2));
    await c.ack(subscription, received.slice(0, 1)); // once more does no harm
    const again = await c.pull(subscription, 3, 13_000);
    expect(texts(again)).toEqual(texts(received.slice(2)));
  },

  async "acknowledge-refused"(c) {
    const { subscription } = await c.pair();
    await refused(c.subscriber.acknowledge({ subscription, ackIds: [] }), codes.invalidArgument);
    await refused(c.subscriber.acknowledge({ subscription, ackIds: ["garbage"] }), codes.invalidArgument);
    const unknown = c.name("subscriptions");
    await refused(
      c.subscriber.acknowledge({ subscription: unknown, ackIds: ["garbage"] }),
      codes.notFound,
      codes.invalidArgument,
    );
  },

  async deadline(c) {
    const { topic, subscription } = await c.pair();
    const [id] = await c.publish(topic, "late");
    expect(await c.pull(subscription, 1)).toHaveLength(1);
    expect(await c.pull(subscription, 1, 7_000)).toHaveLength(0);
    const [again] = await c.pull(subscription, 1, 8_000);
    expect(again?.message?.messageId).toBe(id);
  },

  async "modify-deadline"(c) {
    const { topic, subscription } = await c.pair();
    await c.publish(topic, "slow");
    const received = await c.pull(subscription, 1);
    const ackIds = received.map((r) => r.ackId ?? "");
    for (let i = 0; i < 3; i += 1) {
      await c.subscriber.modifyAckDeadline({ subscription, ackIds, ackDeadlineSeconds: 10 });
      expect(await c.pull(subscription, 1, 5_000)).toHaveLength(0);
    }
    await c.nack(subscription, received);
    expect(texts(await c.pull(subscription, 1))).toEqual(["slow"]);
  },

  async "modify-deadline-refused"(c) {
    const { topic, subscription } = await c.pair();
    await c.publish(topic, "x");
    const ackIds = (await c.pull(subscription, 1)).map((r) => r.ackId ?? "");
    for (const ackDeadlineSeconds of [-1, 601]) {
      await refused(
        c.subscriber.modifyAckDeadline({ subscription, ackIds, ackDeadlineSeconds }),
        codes.invalidArgument,
      );
    }
  },

  async "streaming-pull"(c) {
    const { topic, subscription } = await c.pair();
    const { stream, received } = c.stream({ subscription, streamAckDeadlineSeconds: 10 });
    await c.publish(topic, "a", "b");
    await until(() => received.length === 2, "two messages");
    stream.write({ ackIds: received.map((r) => r.ackId ?? "") });
    await c.publish(topic, "c");
    await until(() => received.length === 3, "a third");
    stream.write({ ackIds: [received[2]?.ackId ?? ""] });
    await sleep(11_000);
    expect(texts(received)).toEqual(["a", "b", "c"]);
    stream.end();
  },

  async "streaming-requests"(c) {
    const { topic, subscription } = await c.pair();
    const firsts = [
      { streamAckDeadlineSeconds: 10 },
      { subscription },
      { subscription, streamAckDeadlineSeconds: 5 },
      { subscription, streamAckDeadlineSeconds: 601 },
    ];
    for (const first of firsts) expect((await c.stream(first).failed).code).toBe(codes.invalidArgument);
    const missing = { subscription: c.name("subscriptions"), streamAckDeadlineSeconds: 10 };
    expect((await c.stream(missing).failed).code).toBe(codes.notFound);
    for (const wrong of [{ subscription }, { modifyDeadlineAckIds: ["x"], modifyDeadlineSeconds: [] }]) {
      const { stream, received, failed } = c.stream({ subscription, streamAckDeadlineSeconds: 10 });
      await c.publish(topic, "the stream is open");
      await until(() => received.length > 0, "the stream to open");
      await c.ack(subscription, received);
      stream.write(wrong);
      expect((await failed).code).toBe(codes.invalidArgument);
    }
  },

  async "streaming-deleted"(c) {
    const { topic, subscription } = await c.pair();
    const { received, failed } = c.stream({ subscription, streamAckDeadlineSeconds: 10 });
    await c.publish(topic, "the stream is open");
    await until(() => received.length > 0, "the stream to open");
    await c.subscriber.deleteSubscription({ subscription });
    expect((await failed).code).toBe(codes.notFound);
  },

  async "keep-alive"(c) {
    const { subscription } = await c.pair();
    const { stream, responses } = c.stream({ subscription, streamAckDeadlineSeconds: 10, protocolVersion: 1 });
    for (let i = 1; i <= 2; i += 1) {
      stream.write({});
      await until(() => responses.length >= i, "an answer", 3_000);
    }
    stream.end();
  },

  async "flow-control"(c) {
    const { topic, subscription } = await c.pair();
    await c.publish(topic, ...Array.from({ length: 40 }, (_, i) => `${i}`.padEnd(1_000, ".")));
    for (const bound of [{ maxOutstandingMessages: 3 }, { maxOutstandingBytes: 3_500 }]) {
      const { stream, received } = c.stream({ subscription, streamAckDeadlineSeconds: 60, ...bound });
      for (let taken = 0; taken < 9;) {
        await until(() => received.length > taken, `messages after ${taken} with ${JSON.stringify(bound)}`);
        await sleep(300);
        expect(received.length - taken).toBeLessThanOrEqual(3);
        const batch = received.slice(taken);
        taken += batch.length;
        await c.ack(subscription, batch);
      }
      stream.cancel();
    }
  },

  async "consumer-gone"(c) {
    const { topic, subscription } = await c.pair();
    for (let i = 0; i < 3; i += 1) {
      const { stream, received } = c.stream({ subscription, streamAckDeadlineSeconds: 60 });
      await c.publish(topic, "the stream is open");
      await until(() => received.length > 0, "the stream to open");
      await c.ack(subscription, received);
      stream.cancel();
    }
    await sleep(500);
    await c.publish(topic, "a", "b", "c", "d", "e", "f");
    expect(texts(await c.pull(subscription, 6, 8_000)).sort()).toEqual(["a", "b", "c", "d", "e", "f"]);
  },
};
