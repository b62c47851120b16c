import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { type Cases, codes, endpoint, refused, texts, until } from "../context.js";

export const pushCases: Cases = {
  async push(c) {
    const target = await endpoint(200);
    const { topic, subscription } = await c.pair({ pushConfig: { pushEndpoint: target.url } });
    const [id] = await c.publish(topic, { data: "hello", attributes: { of: "test" } });
    await until(() => target.pushed.length > 0, "a push");
    const body = JSON.parse(target.pushed[0]?.body.toString() ?? "") as Record<string, unknown>;
    expect(target.pushed[0]?.headers["content-type"]).toMatch(/^application\/json/);
    expect(body).toMatchObject({
      subscription,
      message: {
        data: Buffer.from("hello").toString("base64"),
        attributes: { of: "test" },
        messageId: id,
        message_id: id,
      },
    });
    expect((body["message"] as { publishTime: string }).publishTime).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
    await sleep(12_000);
    expect(target.pushed).toHaveLength(1);
    await target.close();
  },

  async "push-unwrapped"(c) {
    const target = await endpoint(204);
    const pushConfig = { pushEndpoint: target.url, noWrapper: { writeMetadata: true } };
    const { topic, subscription } = await c.pair({ pushConfig });
    const [id] = await c.publish(topic, { data: "raw bytes", attributes: { of: "test" } });
    await until(() => target.pushed.length > 0, "a push");
    expect(target.pushed[0]?.body.toString()).toBe("raw bytes");
    expect(target.pushed[0]?.headers).toMatchObject({
      of: "test",
      "x-goog-pubsub-message-id": id,
      "x-goog-pubsub-subscription-name": subscription,
    });
    await target.close();
  },

  async "push-again"(c) {
    const target = await endpoint(500, 301, 200);
    const { topic } = await c.pair({ pushConfig: { pushEndpoint: target.url } });
    await c.publish(topic, "again");
    await until(() => target.pushed.length === 3, "three pushes");
    await sleep(3_000);
    expect(target.pushed).toHaveLength(3);
    await target.close();
  },

  async "push-accepted"(c) {
    const target = await endpoint(202);
    const { topic } = await c.pair({ pushConfig: { pushEndpoint: target.url } });
    await c.publish(topic, "once");
    await until(() => target.pushed.length > 0, "a push");
    await sleep(3_000);
    expect(target.pushed).toHaveLength(1);
    await target.close();
  },

  async "push-config"(c) {
    const target = await endpoint(200);
    const { topic, subscription } = await c.pair();
    await c.publish(topic, "queued");
    await c.subscriber.modifyPushConfig({ subscription, pushConfig: { pushEndpoint: target.url } });
    await until(() => target.pushed.length === 1, "the backlog to be pushed");
    const retained = { name: subscription, ackDeadlineSeconds: 20 };
    await c.subscriber.updateSubscription({ subscription: retained, updateMask: { paths: ["ack_deadline_seconds"] } });
    await c.publish(topic, "after a change");
    await until(() => target.pushed.length === 2, "a push after another field changed");
    await c.subscriber.modifyPushConfig({ subscription, pushConfig: {} });
    await c.publish(topic, "pulled");
    expect(texts(await c.pull(subscription, 1))).toEqual(["pulled"]);
    expect(target.pushed).toHaveLength(2);
    await c.subscriber.modifyPushConfig({ subscription, pushConfig: { pushEndpoint: target.url } });
    await refused(c.pullOnce(subscription, 1, 3_000), codes.failedPrecondition);
    await target.close();
  },
};
