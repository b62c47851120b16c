import { startPubSub } from "@klio/emulators";
import { describe, expect, it, onTestFinished } from "vitest";
import { connect } from "../src/pubsub/clients.js";
import { Publisher } from "../src/pubsub/publisher.js";

const topic = "projects/my-project/topics/out";
const subscription = "projects/my-project/subscriptions/out";

/** A publisher of a topic that has a subscription with message ordering. */
async function openTopic() {
  const broker = await startPubSub();
  const clients = connect(broker.address);
  onTestFinished(async () => {
    await clients.close();
    await broker.close();
  });
  await clients.publisher.createTopic({ name: topic });
  await clients.subscriber.createSubscription({ name: subscription, topic, enableMessageOrdering: true });
  const publisher = new Publisher(clients.publisher, topic, (error) => {
    throw error;
  });
  return { subscriber: clients.subscriber, publisher };
}

function messageOf(text: string, orderingKey: string, attributes: Readonly<Record<string, string>> = {}) {
  return { element: text, data: Buffer.from(text), attributes, orderingKey };
}

describe("messages that are published at once", () => {
  it("with different ordering keys all come, those of each key in their order", async () => {
    const { subscriber, publisher } = await openTopic();
    const keys = ["", "a", "b"];
    // Few enough that the client would put the requests for all keys together, which is refused.
    const sent = Array.from({ length: 60 }, (_, i) => ({ key: keys[i % 3] ?? "", text: `m-${i}` }));
    const ids = await Promise.all(sent.map(({ key, text }) => publisher.publish(messageOf(text, key))));
    expect(new Set(ids).size).toBe(60);
    const got: { key: string; text: string }[] = [];
    while (got.length < 60) {
      const [{ receivedMessages }] = await subscriber.pull({ subscription, maxMessages: 60 });
      const received = receivedMessages ?? [];
      for (const { message } of received) {
        got.push({ key: message?.orderingKey ?? "", text: Buffer.from(message?.data ?? []).toString() });
      }
      await subscriber.acknowledge({ subscription, ackIds: received.map((m) => m.ackId ?? "") });
    }
    for (const key of ["a", "b"]) {
      expect(got.filter((m) => m.key === key)).toEqual(sent.filter((m) => m.key === key));
    }
  });

  it("are not refused for one among them that is", async () => {
    const { publisher } = await openTopic();
    const good = ["a", "b", "c"].map((key) => publisher.publish(messageOf("good", key)));
    const bad = publisher.publish(messageOf("bad", "b", { "google-like": "a key that is refused" }));
    await expect(bad).rejects.toThrow(/goog/);
    expect(new Set(await Promise.all(good)).size).toBe(3);
  });
});
