import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { PubSubEvent } from "../../src/pubsub/observe.js";
import { Bench, idsOf, Taker } from "./bench-broker.js";

let bench: Bench;
beforeEach(() => {
  bench = new Bench();
});
afterEach(() => {
  bench.close();
});

const kinds = (): PubSubEvent["kind"][] => bench.observed.splice(0).map((event) => event.kind);

describe("whoever observes the broker is told", () => {
  it("what a message has besides its bytes, and how many those are", () => {
    bench.publish(bench.topic(), ["four"], "key");
    expect(bench.observed).toMatchObject([
      { kind: "publish", resource: "projects/p/topics/t", orderingKey: "key", bytes: 4, attributes: {} },
    ]);
  });

  it("how each lease ends: by its consumer, by its deadline, or because it was never sent", () => {
    const topic = bench.topic();
    const subscription = bench.subscription(topic);
    const taker = new Taker();
    subscription.attach(taker);
    bench.publish(topic, ["one"]);
    subscription.modifyDeadline(idsOf(taker.take()), 0);
    bench.pass(1_000);
    expect(kinds()).toEqual(["publish", "deliver", "give-back", "deliver"]);
    bench.pass(20_000);
    bench.pass(1_000);
    expect(kinds()).toEqual(["deadline", "deliver"]);
    subscription.detach(
      taker,
      taker.take().map((delivery) => delivery.lease),
    );
    expect(kinds()).toEqual(["withdraw"]);
  });

  it("that what follows a message of its ordering key goes back with it", () => {
    const topic = bench.topic();
    const subscription = bench.subscription(topic, { enableMessageOrdering: true });
    const taker = new Taker();
    subscription.attach(taker);
    bench.publish(topic, ["one", "two"], "key");
    subscription.modifyDeadline(idsOf(taker.take()).slice(0, 1), 0);
    expect(kinds()).toEqual(["publish", "publish", "deliver", "deliver", "give-back", "withdraw"]);
  });

  it("of an acknowledgement that a fault forgets, unless its consumer is told to try again", () => {
    for (const [enableExactlyOnceDelivery, told] of [
      [false, ["publish", "deliver", "lose-acknowledge"]],
      [true, ["publish", "deliver"]],
    ] as const) {
      bench.close();
      bench = new Bench(undefined, { loseAck: 1 });
      const topic = bench.topic();
      const subscription = bench.subscription(topic, { enableExactlyOnceDelivery });
      const taker = new Taker();
      subscription.attach(taker);
      bench.publish(topic, ["one"]);
      subscription.acknowledge(idsOf(taker.take()));
      expect(kinds()).toEqual(told);
    }
  });

  it("once of an acknowledgement, which ends all leases of the message", () => {
    bench = new Bench(undefined, { duplicate: 1 });
    const topic = bench.topic();
    const subscription = bench.subscription(topic);
    const taker = new Taker();
    subscription.attach(taker);
    bench.publish(topic, ["one"]);
    subscription.acknowledge(idsOf(taker.take()));
    bench.pass(20_000);
    expect(kinds()).toEqual(["publish", "deliver", "deliver", "acknowledge"]);
  });
});
