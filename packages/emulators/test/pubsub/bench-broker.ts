import { create } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { PubsubMessageSchema, SubscriptionSchema, TopicSchema } from "../../gen/google/pubsub/v1/pubsub_pb.js";
import { Broker } from "../../src/pubsub/broker/broker.js";
import type { Consumer, Delivery, Lease } from "../../src/pubsub/broker/consumer.js";
import type { Subscription } from "../../src/pubsub/broker/subscription.js";
import type { Topic } from "../../src/pubsub/broker/topic.js";
import { unavailable } from "../../src/pubsub/errors.js";
import type { FaultEvent } from "../../src/fault-schedule.js";
import { type Faults, PubSubFaults } from "../../src/pubsub/faults.js";
import { memoryStorage, type PubSubStorage } from "../../src/pubsub/log/storage.js";
import { decodeMessage } from "../../src/pubsub/message.js";
import type { PubSubEvent } from "../../src/pubsub/observe.js";
import { withDefaults } from "../../src/pubsub/services/subscription-resource.js";

/** A broker without a network, whose clock is moved by hand. */
export class Bench {
  now = Date.UTC(2026, 0, 1);
  broker: Broker;
  readonly warnings: string[] = [];
  readonly observed: PubSubEvent[] = [];

  constructor(
    readonly storage: PubSubStorage = memoryStorage(),
    readonly faults: Faults = {},
    readonly onFault?: (event: FaultEvent) => void,
  ) {
    this.broker = this.#open();
  }

  #open(): Broker {
    return new Broker({
      storage: this.storage,
      faults: new PubSubFaults(this.faults, this.onFault),
      observe: (event) => this.observed.push(event),
      warn: (text) => this.warnings.push(text),
      now: () => this.now,
    });
  }

  /** Starts anew; as after a kill unless `tidy`. */
  restart(tidy = false): void {
    this.broker.close(unavailable("restart"), tidy);
    this.broker = this.#open();
  }

  close(): void {
    this.broker.close(unavailable("end"), true);
  }

  topic(fields: MessageInitShape<typeof TopicSchema> = {}): Topic {
    return this.broker.createTopic(create(TopicSchema, { name: "projects/p/topics/t", ...fields }));
  }

  subscription(topic: Topic, fields: MessageInitShape<typeof SubscriptionSchema> = {}): Subscription {
    const name = "projects/p/subscriptions/s";
    return this.broker.createSubscription(
      withDefaults(create(SubscriptionSchema, { name, topic: topic.name, ...fields })),
      topic,
    );
  }

  found(): Subscription {
    const subscription = this.broker.subscriptions.get("projects/p/subscriptions/s");
    if (subscription === undefined) throw new Error("the subscription is gone");
    return subscription;
  }

  publish(topic: Topic, texts: readonly string[], orderingKey = ""): void {
    const messages = texts.map((text) => create(PubsubMessageSchema, { data: Buffer.from(text), orderingKey }));
    const found = this.broker.topics.get(topic.name);
    if (found === undefined) throw new Error("the topic is gone");
    this.broker.publish(found, messages);
  }

  /** Moves the clock, as the broker's own ticks would see it. */
  pass(ms: number): void {
    this.now += ms;
    for (const subscription of this.broker.subscriptions.values()) subscription.tick(this.now);
  }
}

/** Takes up to `room` messages at a time. */
export class Taker implements Consumer {
  readonly ackDeadlineSeconds = 10;
  deliveries: Delivery[] = [];
  outstanding = 0;

  constructor(
    readonly room = Infinity,
    readonly oneByOne = false,
  ) {}

  hasRoom(): boolean {
    return this.outstanding < this.room;
  }

  send(delivery: Delivery): void {
    this.outstanding += 1;
    this.deliveries.push(delivery);
  }

  released(_lease: Lease): void {
    this.outstanding -= 1;
  }

  end(): void {
    // It asks for nothing more.
  }

  /** What came since the last call. */
  take(): Delivery[] {
    return this.deliveries.splice(0);
  }

  texts(): string[] {
    return textsOf(this.take());
  }
}

export const textsOf = (deliveries: readonly Delivery[]) =>
  deliveries.map((d) => Buffer.from(decodeMessage(d.record.message).data).toString());
export const idsOf = (deliveries: readonly Delivery[]) => deliveries.map((d) => d.ackId);
