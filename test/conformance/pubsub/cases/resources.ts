import { expect } from "vitest";
import { type Cases, codes, type Context, refused, texts } from "../context.js";

const seconds = (duration: { seconds?: unknown } | null | undefined) => Number(duration?.seconds ?? 0);

export const resourceCases: Cases = {
  async "topic-create"(c) {
    const topic = await c.topic();
    await refused(c.publisher.createTopic({ name: topic }), codes.alreadyExists);
    expect((await c.publisher.getTopic({ topic }))[0].name).toBe(topic);
    await c.publisher.deleteTopic({ topic });
    await refused(c.publisher.getTopic({ topic }), codes.notFound);
    await refused(c.publisher.deleteTopic({ topic }), codes.notFound);
    await refused(c.publish(topic, "x"), codes.notFound);
  },

  async "topic-list"(c) {
    const project = `projects/${c.project}-list`;
    const names = ["aaa", "bbb", "ccc", "ddd", "eee"].map((id) => `${project}/topics/${id}`);
    for (const name of names) await c.publisher.createTopic({ name });
    const seen: string[] = [];
    let pageToken = "";
    do {
      const [page, , response] = await c.publisher.listTopics(
        { project, pageSize: 2, pageToken },
        { autoPaginate: false },
      );
      expect(page.length).toBeLessThanOrEqual(2);
      seen.push(...page.map((t) => t.name ?? ""));
      pageToken = (response as { nextPageToken?: string }).nextPageToken ?? "";
    } while (pageToken !== "");
    expect(seen.sort()).toEqual(names);
  },

  async "topic-names"(c) {
    for (const id of ["ab", "goog-x", "1abc", "a b c", "abc!", "x".repeat(256)]) {
      await refused(c.publisher.createTopic({ name: c.name("topics", id) }), codes.invalidArgument);
    }
    await refused(c.publisher.createTopic({ name: "topics/abc" }), codes.invalidArgument);
    for (const id of ["abc", "A.-_~+%b", "y".repeat(255)])
      await c.publisher.createTopic({ name: c.name("topics", id) });
  },

  async "topic-labels"(c) {
    const name = await c.topic({ labels: { team: "audio", stage: "one" } });
    const topic = { name, labels: { team: "video" } };
    const [updated] = await c.publisher.updateTopic({ topic, updateMask: { paths: ["labels"] } });
    expect(updated.labels).toEqual({ team: "video" });
    expect((await c.publisher.getTopic({ topic: name }))[0].labels).toEqual({ team: "video" });
  },

  async "topic-update-refused"(c) {
    const topic = { name: await c.topic(), messageRetentionDuration: { seconds: 3_600 } };
    await refused(c.publisher.updateTopic({ topic, updateMask: { paths: [] } }), codes.invalidArgument);
    await refused(c.publisher.updateTopic({ topic, updateMask: { paths: ["colour"] } }), codes.invalidArgument);
    await refused(c.publisher.updateTopic({ topic, updateMask: { paths: ["name"] } }), codes.invalidArgument);
    const [updated] = await c.publisher.updateTopic({ topic, updateMask: { paths: ["message_retention_duration"] } });
    expect(seconds(updated.messageRetentionDuration)).toBe(3_600);
  },

  async "topic-subscriptions"(c) {
    const { topic, subscription } = await c.pair();
    const other = await c.subscription(topic);
    const [names] = await c.publisher.listTopicSubscriptions({ topic });
    expect([...names].sort()).toEqual([subscription, other].sort());
  },

  async "topic-deleted"(c) {
    const { topic, subscription } = await c.pair();
    await c.publish(topic, "kept");
    await c.publisher.deleteTopic({ topic });
    expect((await c.subscriber.getSubscription({ subscription }))[0].topic).toBe("_deleted-topic_");
    const received = await c.pull(subscription, 1);
    expect(texts(received)).toEqual(["kept"]);
    await c.publisher.createTopic({ name: topic });
    await c.publish(topic, "of another topic");
    expect(await c.pull(subscription, 1, 1_500)).toEqual([]);
  },

  async "labels-refused"(c) {
    for (const labels of [{ Upper: "x" }, { "1digit": "x" }, { key: "Upper" }, { key: "v".repeat(64) }]) {
      await refused(c.topic({ labels }), codes.invalidArgument);
    }
  },

  async "subscription-create"(c) {
    const { topic, subscription } = await c.pair({ ackDeadlineSeconds: 0, labels: { of: "test" } });
    const [found] = await c.subscriber.getSubscription({ subscription });
    expect(found).toMatchObject({ topic, ackDeadlineSeconds: 10, labels: { of: "test" }, retainAckedMessages: false });
    expect(seconds(found.messageRetentionDuration)).toBe(7 * 86_400);
    await refused(c.subscriber.createSubscription({ name: subscription, topic }), codes.alreadyExists);
    await refused(c.subscription(c.name("topics")), codes.notFound);
    await c.subscriber.deleteSubscription({ subscription });
    await refused(c.subscriber.getSubscription({ subscription }), codes.notFound);
    await refused(c.subscriber.deleteSubscription({ subscription }), codes.notFound);
  },

  async "subscription-list"(c) {
    const project = `projects/${c.project}-subs`;
    const topic = await c.topic();
    const names = ["aaa", "bbb", "ccc"].map((id) => `${project}/subscriptions/${id}`);
    for (const name of names) await c.subscriber.createSubscription({ name, topic });
    const [first, , response] = await c.subscriber.listSubscriptions({ project, pageSize: 2 }, { autoPaginate: false });
    const { nextPageToken: pageToken = "" } = response as { nextPageToken?: string };
    const [second] = await c.subscriber.listSubscriptions({ project, pageSize: 2, pageToken }, { autoPaginate: false });
    expect([...first, ...second].map((s) => s.name).sort()).toEqual(names);
    expect(first).toHaveLength(2);
  },

  async "subscription-update"(c) {
    const { subscription: name } = await c.pair();
    const subscription = { name, ackDeadlineSeconds: 77, retainAckedMessages: true, enableExactlyOnceDelivery: true };
    const [updated] = await c.subscriber.updateSubscription({
      subscription,
      updateMask: { paths: ["ack_deadline_seconds", "retain_acked_messages"] },
    });
    expect(updated).toMatchObject({ ackDeadlineSeconds: 77, retainAckedMessages: true });
    expect((await c.subscriber.getSubscription({ subscription: name }))[0].enableExactlyOnceDelivery).toBe(false);
    await refused(c.subscriber.updateSubscription({ subscription, updateMask: { paths: [] } }), codes.invalidArgument);
  },

  async "subscription-immutable"(c) {
    const { subscription: name, topic } = await c.pair();
    const subscription = { name, topic, enableMessageOrdering: true, filter: "attributes:x" };
    for (const path of ["topic", "enable_message_ordering", "filter", "name"]) {
      await refused(
        c.subscriber.updateSubscription({ subscription, updateMask: { paths: [path] } }),
        codes.invalidArgument,
      );
    }
  },

  async "subscription-ranges"(c) {
    const topic = await c.topic();
    for (const ackDeadlineSeconds of [5, 601, -1]) {
      await refused(c.subscription(topic, { ackDeadlineSeconds }), codes.invalidArgument);
    }
    for (const s of [300, 32 * 86_400]) {
      await refused(c.subscription(topic, { messageRetentionDuration: { seconds: s } }), codes.invalidArgument);
    }
  },

  async "expiration-policy"(c) {
    const { topic, subscription } = await c.pair();
    const [found] = await c.subscriber.getSubscription({ subscription });
    expect(seconds(found.expirationPolicy?.ttl)).toBe(31 * 86_400);
    await refused(c.subscription(topic, { expirationPolicy: { ttl: { seconds: 3_600 } } }), codes.invalidArgument);
    const never = await c.subscription(topic, { expirationPolicy: {} });
    expect((await c.subscriber.getSubscription({ subscription: never }))[0].expirationPolicy?.ttl ?? null).toBeNull();
  },

  unsupported: (c) => unsupported(c),
};

async function unsupported(c: Context): Promise<void> {
  await refused(c.topic({ kmsKeyName: "key" }), codes.unimplemented);
  await refused(c.topic({ schemaSettings: { schema: "projects/x/schemas/y" } }), codes.unimplemented);
  const topic = await c.topic();
  await refused(c.subscription(topic, { bigqueryConfig: { table: "p.d.t" } }), codes.unimplemented);
  await refused(c.subscription(topic, { cloudStorageConfig: { bucket: "b" } }), codes.unimplemented);
  await refused(c.subscription(topic, { pushConfig: { pushEndpoint: "https://example.com/" } }), codes.unimplemented);
  await refused(c.client.topic(topic).iam.getPolicy(), codes.unimplemented);
  await refused(c.client.createSchema("any", "AVRO", "{}"), codes.unimplemented);
}
