import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "../../packages/runtime/src/pubsub/clients.js";
import { Subscriber, type SubscriberOptions } from "../../packages/runtime/src/pubsub/subscriber.js";
import type { Delivery } from "../../packages/runtime/src/supervisor/source.js";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
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
    { name = subscription, ...options }: Partial<SubscriberOptions> & { readonly name?: string } = {},
  ): Subscriber {
    const nothing = () => undefined;
    return new Subscriber({
      client: clients.subscriber,
      input: "songs",
      subscription: name,
      ackDeadlineMs: ackDeadlineSeconds * 1_000,
      maxMessages: 200,
      maxBytes: 1e8,
      onDelivery,
      onConnected: nothing,
      onDisconnected: nothing,
      onTrouble: nothing,
      onRefused: nothing,
      onLost: nothing,
      ...options,
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

  // Google's emulator passes ack ids over that are not valid, exactly-once delivery or not.
  it.runIf(target.own)("with exactly-once delivery loses the one lease that is not valid, and no other", async () => {
    const name = `${subscription}-once`;
    await clients.subscriber.createSubscription({
      name,
      topic,
      ackDeadlineSeconds: 10,
      enableExactlyOnceDelivery: true,
    });
    const messages = ["a", "b", "c"].map((text) => ({ data: Buffer.from(text) }));
    await clients.publisher.publish({ topic, messages });
    const received: { text: string; delivery: Delivery }[] = [];
    const lost: unknown[] = [];
    const trouble: unknown[] = [];
    const one = subscriber((delivery) => void received.push({ text: String(delivery.data), delivery }), {
      name,
      ackDeadlineMs: 10_000,
      onLost: (lease) => lost.push(lease),
      onTrouble: (error) => trouble.push(error),
    });
    one.start();
    await expect.poll(() => received.length).toBe(3);
    const leases = received.map((r) => r.delivery.lease);
    // Somebody else gives the first back: its ack id is not valid any more.
    const ackIds = [leases[0]?.ackId ?? ""];
    await clients.subscriber.modifyAckDeadline({ subscription: name, ackIds, ackDeadlineSeconds: 0 });
    await expect.poll(() => lost).toEqual([leases[0]]);
    await sleep(15_000); // longer than a lease that is not extended
    expect(received.map((r) => r.text)).toEqual(["a", "b", "c", received[0]?.text]);
    expect([lost.length, trouble]).toEqual([1, []]);
    const acknowledge = vi.spyOn(clients.subscriber, "acknowledge");
    await clients.subscriber.modifyAckDeadline({
      subscription: name,
      ackIds: [leases[1]?.ackId ?? ""],
      ackDeadlineSeconds: 0,
    });
    // In one request: of the second it is refused, which is not asked again; the others are done.
    await Promise.all(received.slice(1).map((r) => one.acknowledge(r.delivery.lease)));
    expect(acknowledge).toHaveBeenCalledTimes(1);
    await expect.poll(() => received.length).toBe(5);
    const [again] = received.splice(4);
    if (again !== undefined) await one.acknowledge(again.delivery.lease);
    expect(again?.text).toBe(received[1]?.text);
    await one.close();
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
