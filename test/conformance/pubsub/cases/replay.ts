import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { type Cases, codes, type Context, refused, texts } from "../context.js";

const at = (ms: number) => ({ seconds: Math.floor(ms / 1_000), nanos: (ms % 1_000) * 1e6 });

/** Publishes "old", then "new", and returns a time between them. */
async function twoTimes(c: Context, topic: string): Promise<number> {
  await c.publish(topic, "old");
  await sleep(300);
  const between = Date.now();
  await sleep(300);
  await c.publish(topic, "new");
  return between;
}

async function consume(c: Context, subscription: string, count: number): Promise<string[]> {
  const received = await c.pull(subscription, count);
  if (received.length > 0) await c.ack(subscription, received);
  return texts(received).sort();
}

export const replayCases: Cases = {
  async "seek-forward"(c) {
    const { topic, subscription } = await c.pair();
    const between = await twoTimes(c, topic);
    await c.subscriber.seek({ subscription, time: at(between) });
    expect(await consume(c, subscription, 2)).toEqual(["new"]);
    await c.publish(topic, "later");
    expect(await consume(c, subscription, 1)).toEqual(["later"]);
  },

  async "seek-back"(c) {
    const { topic, subscription } = await c.pair({ retainAckedMessages: true });
    const between = await twoTimes(c, topic);
    expect(await consume(c, subscription, 2)).toEqual(["new", "old"]);
    await c.subscriber.seek({ subscription, time: at(between) });
    expect(await consume(c, subscription, 1)).toEqual(["new"]);
    await c.subscriber.seek({ subscription, time: at(between - 60_000) });
    expect(await consume(c, subscription, 2)).toEqual(["new", "old"]);
  },

  async "seek-back-unretained"(c) {
    const { topic, subscription } = await c.pair();
    await c.publish(topic, "a", "b");
    const received = await c.pull(subscription, 2);
    await c.ack(subscription, received.slice(0, 1));
    await c.subscriber.seek({ subscription, time: at(Date.now() - 60_000) });
    expect(texts(await c.pull(subscription, 2, 3_000))).toEqual(texts(received.slice(1)));
  },

  async "topic-retention"(c) {
    const topic = await c.topic({ messageRetentionDuration: { seconds: 3_600 } });
    const subscription = await c.subscription(topic);
    await c.publish(topic, "a", "b");
    expect(await consume(c, subscription, 2)).toEqual(["a", "b"]);
    const late = await c.subscription(topic);
    for (const name of [subscription, late]) {
      await c.subscriber.seek({ subscription: name, time: at(Date.now() - 60_000) });
      expect(await consume(c, name, 2)).toEqual(["a", "b"]);
    }
    await refused(c.topic({ messageRetentionDuration: { seconds: 300 } }), codes.invalidArgument);
    await refused(c.topic({ messageRetentionDuration: { seconds: 32 * 86_400 } }), codes.invalidArgument);
  },

  async snapshot(c) {
    const { topic, subscription } = await c.pair();
    const other = await c.subscription(topic);
    await c.publish(topic, "acknowledged before", "pending");
    const received = await c.pull(subscription, 2);
    await c.ack(
      subscription,
      received.filter((r) => texts([r])[0] !== "pending"),
    );
    const name = c.name("snapshots");
    const [snapshot] = await c.subscriber.createSnapshot({ name, subscription });
    expect(snapshot).toMatchObject({ name, topic });
    expect(Number(snapshot.expireTime?.seconds)).toBeGreaterThan(Date.now() / 1_000 + 6 * 86_400);
    await refused(c.subscriber.createSnapshot({ name, subscription }), codes.alreadyExists);
    await c.publish(topic, "after");
    await c.nack(
      subscription,
      received.filter((r) => texts([r])[0] === "pending"),
    );
    expect(await consume(c, subscription, 2)).toEqual(["after", "pending"]);
    await c.subscriber.seek({ subscription, snapshot: name });
    expect(await consume(c, subscription, 2)).toEqual(["after", "pending"]);
    await c.subscriber.seek({ subscription: other, snapshot: name });
    expect(await consume(c, other, 2)).toEqual(["after", "pending"]);
    expect((await c.subscriber.getSnapshot({ snapshot: name }))[0].name).toBe(name);
    const [all] = await c.subscriber.listSnapshots({ project: `projects/${c.project}` });
    expect(all.map((s) => s.name)).toContain(name);
    expect((await c.publisher.listTopicSnapshots({ topic }))[0]).toEqual([name]);
    await c.subscriber.deleteSnapshot({ snapshot: name });
    await refused(c.subscriber.getSnapshot({ snapshot: name }), codes.notFound);
  },

  async "snapshot-labels"(c) {
    const { subscription } = await c.pair();
    const [unnamed] = await c.subscriber.createSnapshot({ subscription });
    expect(unnamed.name).toMatch(new RegExp(`^projects/${c.project}/snapshots/.{3,}`));
    const name = c.name("snapshots");
    const [made] = await c.subscriber.createSnapshot({ name, subscription, labels: { of: "one" } });
    expect(made.labels).toEqual({ of: "one" });
    const snapshot = { name, labels: { of: "two" } };
    const [updated] = await c.subscriber.updateSnapshot({ snapshot, updateMask: { paths: ["labels"] } });
    expect(updated.labels).toEqual({ of: "two" });
  },

  async "snapshot-refused"(c) {
    const { subscription } = await c.pair();
    const other = await c.pair();
    const name = c.name("snapshots");
    await c.subscriber.createSnapshot({ name, subscription: other.subscription });
    await refused(c.subscriber.seek({ subscription, snapshot: name }), codes.failedPrecondition);
    await refused(c.subscriber.seek({ subscription, snapshot: c.name("snapshots") }), codes.notFound);
    await refused(c.subscriber.seek({ subscription }), codes.invalidArgument);
    await refused(
      c.subscriber.createSnapshot({ name: c.name("snapshots"), subscription: c.name("subscriptions") }),
      codes.notFound,
    );
  },

  async detach(c) {
    const { topic, subscription } = await c.pair();
    await c.publish(topic, "dropped");
    await c.publisher.detachSubscription({ subscription });
    await refused(c.pullOnce(subscription, 1, 3_000), codes.failedPrecondition);
    const { failed } = c.stream({ subscription, streamAckDeadlineSeconds: 10 });
    expect((await failed).code).toBe(codes.failedPrecondition);
    expect((await c.subscriber.getSubscription({ subscription }))[0].detached).toBe(true);
    expect((await c.publisher.listTopicSubscriptions({ topic }))[0]).toEqual([]);
  },
};
