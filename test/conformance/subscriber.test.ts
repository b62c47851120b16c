import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "../../packages/runtime/src/pubsub/clients.js";
import { Subscriber } from "../../packages/runtime/src/pubsub/subscriber.js";
import type { Delivery } from "../../packages/runtime/src/supervisor/source.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Broker, brokerTargets } from "../support/targets.js";

const topic = "projects/stream-project/topics/songs";
const subscription = "projects/stream-project/subscriptions/songs";
const messages = 1_500;
/** By each subscriber, before it stops. */
const taken = 150;
/** Longer than a test may take: what is lost on its way out does not come again in time. */
const ackDeadlineSeconds = 600;

describe.each(brokerTargets)("a subscriber of $name", (target) => {
  let broker: Broker;
  let clients: ReturnType<typeof connect>;

  beforeAll(async () => {
    if (target.missing !== undefined) return;
    broker = await target.start();
    clients = connect(broker.address);
    await clients.publisher.createTopic({ name: topic });
    await clients.subscriber.createSubscription({ name: subscription, topic, ackDeadlineSeconds });
  });

  afterAll(async () => {
    await clients.close();
    await broker.close();
  });

  function subscriber(onDelivery: (delivery: Delivery) => void): Subscriber {
    const nothing = () => undefined;
    return new Subscriber({
      client: clients.subscriber,
      input: "songs",
      subscription,
      ackDeadlineMs: ackDeadlineSeconds * 1_000,
      maxMessages: 200,
      maxBytes: 1e8,
      onDelivery,
      onConnected: nothing,
      onDisconnected: nothing,
      onTrouble: nothing,
      onRefused: nothing,
      onLost: nothing,
    });
  }

  it.skipIf(target.missing !== undefined)("leaves nothing behind on its stream when it stops under load", async () => {
    const ids = new Set<string>();
    for (let i = 0; i < messages; i += 500) {
      const batch = Array.from({ length: 500 }, (_, n) => ({ data: Buffer.from(`${i + n}`) }));
      const [answer] = await clients.publisher.publish({ topic, messages: batch });
      for (const id of answer.messageIds ?? []) ids.add(id);
    }
    let late = 0;
    while (ids.size > 0) {
      const ends: Promise<void>[] = [];
      const tooLate: Delivery[] = [];
      let stopped: Promise<void> | undefined;
      const one = subscriber((delivery) => {
        if (stopped !== undefined) {
          tooLate.push(delivery);
          return;
        }
        ends.push(one.acknowledge(delivery.lease).then(() => void ids.delete(delivery.messageId)));
        if (ends.length >= taken) stopped = one.stopPulling();
      });
      one.start();
      while (stopped === undefined && ends.length < ids.size) await sleep(5);
      await stopped;
      await one.stopPulling(); // it waits as long as the first
      await Promise.all(tooLate.map(({ lease }) => one.giveBack(lease)));
      await Promise.all(ends);
      await one.close();
      late += tooLate.length;
    }
    expect(late).toBeGreaterThan(0);
  });
});
