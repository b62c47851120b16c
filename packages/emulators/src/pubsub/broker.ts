import { type Subscription as SubscriptionResource, type Topic } from "../../gen/google/pubsub/v1/pubsub_pb.js";
import type { StoredMessage } from "./message.js";
import type { Observe } from "./observe.js";
import { Subscription } from "./subscription.js";

/** How often expired leases are looked for, in milliseconds. */
const tickMs = 100;

/** The name a subscription shows once its topic is gone. Source: google.pubsub.v1.Subscription.topic. */
export const deletedTopic = "_deleted-topic_";

/** The state of all topics and subscriptions of one emulator, held in memory. */
export class Broker {
  readonly topics = new Map<string, Topic>();
  readonly subscriptions = new Map<string, Subscription>();
  readonly #ticker: NodeJS.Timeout;
  /** Begins at the clock, so that no id comes again after a restart: consumers remember ids they have seen. */
  #lastMessageId = BigInt(Date.now()) * 1_000n;

  constructor(readonly observe: Observe = () => undefined) {
    this.#ticker = setInterval(() => {
      const now = Date.now();
      for (const subscription of this.subscriptions.values()) subscription.expire(now);
    }, tickMs);
    this.#ticker.unref();
  }

  nextMessageId(): string {
    this.#lastMessageId += 1n;
    return this.#lastMessageId.toString();
  }

  /** Hands the messages to every subscription of the topic. */
  publish(topic: string, messages: readonly StoredMessage[]): void {
    for (const { message } of messages) {
      this.observe({ kind: "publish", resource: topic, messageId: message.messageId, attributes: message.attributes });
    }
    for (const subscription of this.subscriptionsOf(topic)) subscription.enqueue(messages);
  }

  subscriptionsOf(topic: string): Subscription[] {
    return [...this.subscriptions.values()].filter((s) => s.resource.topic === topic);
  }

  addSubscription(resource: SubscriptionResource): Subscription {
    const subscription = new Subscription(resource, this.observe);
    this.subscriptions.set(resource.name, subscription);
    return subscription;
  }

  deleteTopic(name: string): void {
    this.topics.delete(name);
    for (const subscription of this.subscriptionsOf(name)) {
      subscription.resource.topic = deletedTopic;
    }
  }

  deleteSubscription(name: string): void {
    this.subscriptions.get(name)?.close();
    this.subscriptions.delete(name);
  }

  close(): void {
    clearInterval(this.#ticker);
    for (const subscription of this.subscriptions.values()) subscription.close();
  }
}
