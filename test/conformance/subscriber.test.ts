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

  function subscriber(
    onDelivery: (delivery: Delivery) => void,
    { name = subscription, maxMessages = 200 } = {},
  ): Subscriber {
    const nothing = () => undefined;
    return new Subscriber({
      client: clients.subscriber,
      input: "songs",
      subscription: name,
      ackDeadlineMs: ackDeadlineSeconds * 1_000,
      maxMessages,
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

  if (!target.own) return; // Google's emulator hands out messages to streams that have ended
  it("that had to open a stream while much was in hand asks for all it may have once that is done with", async () => {
    const name = `${subscription}-later`;
    await clients.subscriber.createSubscription({ name, topic, ackDeadlineSeconds });
    const messages = Array.from({ length: 60 }, (_, n) => ({ data: Buffer.from(`${n}`) }));
    await clients.publisher.publish({ topic, messages });
    const inHand: Delivery[] = [];
    let most = 0;
    let done = 0;
    const one = subscriber(
      (delivery) => {
        inHand.push(delivery);
        most = Math.max(most, inHand.length);
      },
      { name, maxMessages: 16 },
    );
    const finish = async (count: number) => {
      const finished = inHand.splice(0, count);
      done += finished.length;
      await Promise.all(finished.map(({ lease }) => one.acknowledge(lease)));
    };
    one.start();
    await expect.poll(() => inHand.length).toBe(16);
    one.pause();
    one.resume();
    await finish(1);
    await expect.poll(() => inHand.length).toBe(16);
    // By twos and threes: each time there is room for twice as much as the stream was opened for, another one is.
    for (let i = 0; i < 5; i += 1) await finish(3);
    await expect.poll(() => inHand.length).toBeGreaterThan(5);
    // Nothing is left of what came first: however much still waits, there is room for all that may be in hand.
    while (done < 40) {
      await finish(1);
      await sleep(2);
    }
    await expect.poll(() => inHand.length).toBe(16);
    while (done < messages.length) {
      await finish(16);
      await sleep(5);
    }
    await clients.publisher.publish({ topic, messages });
    await expect.poll(() => inHand.length).toBe(16);
    expect(most).toBe(16);
    await one.close();
  });
});
