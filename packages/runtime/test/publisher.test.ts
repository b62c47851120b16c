import { startPubSub } from "@klio/emulators";
import { expect, it, onTestFinished, vi } from "vitest";
import { connect } from "../src/pubsub/clients.js";
import { Publisher } from "../src/pubsub/publisher.js";

it("publishes messages of one ordering key in their order, and never two keys in one request", async () => {
  const broker = await startPubSub();
  const clients = connect(broker.address);
  onTestFinished(async () => {
    await clients.publisher.close();
    await clients.subscriber.close();
    await broker.close();
  });
  const [topic, subscription] = ["projects/my-project/topics/out", "projects/my-project/subscriptions/out"];
  await clients.publisher.createTopic({ name: topic });
  await clients.subscriber.createSubscription({ name: subscription, topic, enableMessageOrdering: true });
  const publish = vi.spyOn(clients.publisher, "publish");
  const publisher = new Publisher(clients.publisher, topic, (error) => {
    throw error;
  });
  const keys = ["", "a", "b"];
  const sent = Array.from({ length: 300 }, (_, i) => ({ key: keys[i % 3] ?? "", text: `m-${i}` }));
  const ids = await Promise.all(
    sent.map(({ key, text }) =>
      publisher.publish({ element: text, data: Buffer.from(text), attributes: {}, orderingKey: key }),
    ),
  );
  expect(new Set(ids).size).toBe(300);
  for (const [request] of publish.mock.calls) {
    const ofRequest = new Set((request.messages ?? []).map((m) => m.orderingKey));
    expect(ofRequest.size).toBe(1);
  }
  const got: { key: string; text: string }[] = [];
  while (got.length < 300) {
    const [{ receivedMessages }] = await clients.subscriber.pull({ subscription, maxMessages: 300 });
    const received = receivedMessages ?? [];
    for (const { message } of received) {
      got.push({ key: message?.orderingKey ?? "", text: Buffer.from(message?.data ?? []).toString() });
    }
    await clients.subscriber.acknowledge({ subscription, ackIds: received.map((m) => m.ackId ?? "") });
  }
  for (const key of ["a", "b"]) {
    expect(got.filter((m) => m.key === key)).toEqual(sent.filter((m) => m.key === key));
  }
});
