import { startPubSub } from "@klio/emulators";
import { expect, it, onTestFinished, vi } from "vitest";
import { connect } from "../src/pubsub/clients.js";
import { Subscriber } from "../src/pubsub/subscriber.js";
import type { Delivery } from "../src/supervisor/source.js";

const topic = "projects/my-project/topics/songs";
const subscription = "projects/my-project/subscriptions/songs";

it("opens another stream without a word when one ends that was open for long, and tells of one that breaks soon", async () => {
  const broker = await startPubSub({ faults: { resetStream: 1 } });
  const clients = connect(broker.address);
  const told: string[] = [];
  const received: Delivery[] = [];
  const subscriber = new Subscriber({
    client: clients.subscriber,
    input: "in",
    subscription,
    ackDeadlineMs: 600_000,
    maxMessages: 10,
    maxBytes: 1e6,
    onDelivery: (delivery) => received.push(delivery),
    onConnected: () => told.push("connected"),
    onDisconnected: () => told.push("disconnected"),
    onTrouble: () => told.push("trouble"),
    onRefused: () => told.push("refused"),
    onLost: () => told.push("lost"),
  });
  onTestFinished(async () => {
    vi.restoreAllMocks();
    await subscriber.close();
    await clients.close();
    await broker.close();
  });
  await clients.publisher.createTopic({ name: topic });
  await clients.subscriber.createSubscription({ name: subscription, topic, ackDeadlineSeconds: 600 });
  const publish = (text: string) => clients.publisher.publish({ topic, messages: [{ data: Buffer.from(text) }] });
  subscriber.start();
  await expect.poll(() => told).toEqual(["connected"]);
  const now = performance.now.bind(performance);
  vi.spyOn(performance, "now").mockImplementation(() => now() + 660_000);
  await publish("first");
  await expect.poll(() => received.length).toBe(1);
  await publish("second");
  await expect.poll(() => received.length).toBe(2);
  // Of two streams that broke, the second is told of: it was open for a moment only.
  await expect.poll(() => told.filter((what) => what !== "connected")).toEqual(["disconnected", "trouble"]);
  await expect.poll(() => told.at(-1)).toBe("connected");
});
