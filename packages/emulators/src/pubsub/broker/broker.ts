import { randomUUID } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import {
  type PubsubMessage,
  PubsubMessageSchema,
  type Snapshot as SnapshotResource,
  type Subscription as SubscriptionResource,
  SubscriptionSchema,
  type Topic as TopicResource,
} from "../../../gen/google/pubsub/v1/pubsub_pb.js";
import { failedPrecondition, notFound, resourceExhausted, unavailable } from "../errors.js";
import type { PubSubFaults } from "../faults.js";
import { type Change, Journal } from "../log/journal.js";
import { type LogRecord, MessageLog, type Warn } from "../log/message-log.js";
import type { PubSubStorage } from "../log/storage.js";
import { decodeMessage } from "../message.js";
import type { Observe, PubSubEvent } from "../observe.js";
import { deadLetterMessage } from "./dead-letter.js";
import { pushes } from "./policies.js";
import { Pushers } from "./push.js";
import type { Snapshot } from "./snapshot.js";
import { floorOf } from "./snapshot.js";
import type { Progress } from "./source.js";
import { snapshotChange, stateOf, subscriptionChange, topicChange } from "./state.js";
import { Subscription } from "./subscription.js";
import type { Surroundings } from "./surroundings.js";
import { Topic } from "./topic.js";

/** How often expired leases are looked for, in milliseconds. */
const tickMs = 50;
/** How often logs are trimmed and what is past its time is removed, in milliseconds. */
const maintenanceMs = 1_000;

/** The name a subscription shows once its topic is gone. Source: google.pubsub.v1.Subscription.topic. */
const deletedTopic = "_deleted-topic_";

export interface BrokerOptions {
  readonly storage: PubSubStorage;
  readonly faults: PubSubFaults;
  readonly observe: Observe | undefined;
  readonly warn: Warn;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** All topics, subscriptions and snapshots of one emulator. What it confirms is written down before. */
export class Broker implements Surroundings {
  /** By name; deleted ones are not in it. */
  readonly topics = new Map<string, Topic>();
  readonly subscriptions = new Map<string, Subscription>();
  readonly snapshots = new Map<string, Snapshot>();
  readonly faults: PubSubFaults;
  readonly #byUid = new Map<string, Topic>();
  readonly #journal: Journal;
  readonly #pushers = new Pushers();
  readonly #ticker: NodeJS.Timeout;
  #maintained = 0;
  #closed = false;
  /** Begins at the clock, so that no id comes again after a restart: consumers remember ids they have seen. */
  #lastMessageId: bigint;

  constructor(readonly options: BrokerOptions) {
    this.faults = options.faults;
    this.#lastMessageId = BigInt(Math.floor(options.now())) * 1_000n;
    this.#journal = new Journal(options.storage.journal, options.warn);
    this.#recover();
    this.#ticker = setInterval(() => {
      this.#tick();
    }, tickMs);
    this.#ticker.unref();
  }

  now(): number {
    return this.options.now();
  }

  createTopic(resource: TopicResource): Topic {
    const uid = randomUUID();
    this.record({ case: "topic", value: { uid, resource, deleted: false } });
    const topic = this.#openTopic(resource, uid);
    this.topics.set(resource.name, topic);
    return topic;
  }

  updateTopic(topic: Topic, resource: TopicResource): void {
    this.record({ case: "topic", value: { uid: topic.uid, resource, deleted: false } });
    topic.resource = resource;
  }

  /** Its subscriptions stay, with the messages they have. */
  deleteTopic(topic: Topic): void {
    this.record({ case: "topic", value: { uid: topic.uid, resource: topic.resource, deleted: true } });
    topic.deleted = true;
    this.topics.delete(topic.name);
    for (const subscription of this.subscriptionsOf(topic)) {
      subscription.resource.topic = deletedTopic;
      this.record(subscriptionChange(subscription));
    }
    this.#forgetTopic(topic);
  }

  subscriptionsOf(topic: Topic): Subscription[] {
    return [...this.subscriptions.values()].filter((s) => s.topic === topic && !s.resource.detached);
  }

  snapshotsOf(topic: Topic): Snapshot[] {
    return [...this.snapshots.values()].filter((s) => s.topic === topic);
  }

  createSubscription(resource: SubscriptionResource, topic: Topic): Subscription {
    const progress = atEndOf(topic);
    const subscription = new Subscription(resource, randomUUID(), topic, progress, this);
    this.record(subscriptionChange(subscription, progress));
    this.subscriptions.set(resource.name, subscription);
    this.#pushers.follow(subscription);
    return subscription;
  }

  updateSubscription(subscription: Subscription, resource: SubscriptionResource): void {
    const { uid, topic } = subscription;
    this.record(subscriptionChange({ uid, resource, topic }));
    const began = pushes(resource) && !pushes(subscription.resource);
    subscription.resource = resource;
    if (began) subscription.disconnect(failedPrecondition(`subscription ${resource.name} pushes now`));
    this.#pushers.follow(subscription);
    subscription.dispatch();
  }

  deleteSubscription(subscription: Subscription, why = "was deleted"): void {
    this.record({ case: "subscriptionDeleted", value: subscription.uid });
    this.subscriptions.delete(subscription.resource.name);
    this.#pushers.leave(subscription);
    subscription.end(notFound(`subscription ${subscription.resource.name} ${why}`));
    this.#forgetTopic(subscription.topic);
  }

  /** Its messages are dropped, and nothing more comes. */
  detach(subscription: Subscription): void {
    const { uid, topic } = subscription;
    const resource = create(SubscriptionSchema, { ...subscription.resource, detached: true });
    const progress = atEndOf(topic);
    this.record(subscriptionChange({ uid, resource, topic }, progress));
    subscription.resource = resource;
    this.#pushers.leave(subscription);
    subscription.seek(progress);
    subscription.end(failedPrecondition(`subscription ${subscription.resource.name} is detached from its topic`));
  }

  seek(subscription: Subscription, progress: Progress): void {
    this.record(subscriptionChange(subscription, progress));
    subscription.seek(progress);
  }

  putSnapshot(resource: SnapshotResource, topic: Topic, progress: Progress): void {
    const snapshot = { resource, topic, progress };
    this.record(snapshotChange(snapshot));
    this.snapshots.set(resource.name, snapshot);
  }

  deleteSnapshot(snapshot: Snapshot): void {
    this.record({ case: "snapshotDeleted", value: snapshot.resource.name });
    this.snapshots.delete(snapshot.resource.name);
    this.#forgetTopic(snapshot.topic);
  }

  /** Stores the messages and hands them to every subscription. Returns their ids. Throws RESOURCE_EXHAUSTED. */
  publish(topic: Topic, messages: readonly PubsubMessage[]): string[] {
    const publishTime = topic.publishTime(this.now());
    const timestamp = timestampFromMs(publishTime);
    const subscriptions = this.subscriptionsOf(topic);
    const ids: string[] = [];
    const stored = messages.map((message) => {
      this.#lastMessageId += 1n;
      const messageId = this.#lastMessageId.toString();
      ids.push(messageId);
      const complete = create(PubsubMessageSchema, { ...message, messageId, publishTime: timestamp });
      return { publishTime, orderingKey: message.orderingKey, message: toBinary(PubsubMessageSchema, complete) };
    });
    if (subscriptions.length > 0 || topic.retentionMs !== undefined || this.snapshotsOf(topic).length > 0) {
      this.#write(() => {
        topic.log.append(stored);
        if (this.options.storage.onDisk) topic.log.sync();
      });
    }
    for (const { message } of stored) this.tell("publish", topic.name, message);
    for (const subscription of subscriptions) subscription.dispatch();
    return ids;
  }

  deadLetter(subscription: SubscriptionResource, record: LogRecord, attempts: number): boolean {
    const topic = this.topics.get(subscription.deadLetterPolicy?.deadLetterTopic ?? "");
    if (topic === undefined) return false;
    try {
      this.publish(topic, [deadLetterMessage(subscription.name, record, attempts)]);
      return true;
    } catch (error) {
      this.options.warn(`a dead letter could not be stored: ${(error as Error).message}`);
      return false;
    }
  }

  warn(text: string): void {
    this.options.warn(text);
  }

  record(change: Change): void {
    this.#write(() => {
      this.#journal.append(change);
      if (this.options.storage.onDisk) this.#journal.sync();
    });
  }

  tell(kind: PubSubEvent["kind"], resource: string, message: Uint8Array | (() => LogRecord | undefined)): void {
    const { observe } = this.options;
    if (observe === undefined) return;
    const encoded = typeof message === "function" ? message()?.message : message;
    if (encoded === undefined) return;
    const { messageId, attributes, orderingKey, data } = decodeMessage(encoded);
    observe({ kind, resource, messageId, attributes, orderingKey, bytes: data.length });
  }

  /** Ends all consumers with `reason`. What was confirmed is in the storage, whether or not it is tidied up at the end. */
  close(reason: ConnectError, tidy: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#ticker);
    this.#pushers.close();
    if (tidy) this.#tidy();
    for (const subscription of this.subscriptions.values()) subscription.end(reason);
    this.#journal.close();
    for (const topic of this.#byUid.values()) topic.log.close();
  }

  #write(write: () => void): void {
    if (this.#closed) throw unavailable("the emulator ends");
    try {
      write();
    } catch (error) {
      throw resourceExhausted(`the emulator cannot write to its disk: ${(error as Error).message}`);
    }
  }

  #openTopic(resource: TopicResource, uid: string): Topic {
    const log = new MessageLog(this.options.storage.log(uid), (text) => {
      this.options.warn(`topic ${resource.name}: ${text}`);
    });
    const topic = new Topic(resource, uid, log);
    this.#byUid.set(uid, topic);
    return topic;
  }

  /** Drops the log of a deleted topic when nobody has messages of it any more. */
  #forgetTopic(topic: Topic): void {
    if (!topic.deleted || this.#users(topic).length > 0 || this.snapshotsOf(topic).length > 0) return;
    this.record({ case: "topicDeleted", value: topic.uid });
    this.#byUid.delete(topic.uid);
    topic.log.remove();
  }

  #users(topic: Topic): Subscription[] {
    return [...this.subscriptions.values()].filter((s) => s.topic === topic);
  }

  #recover(): void {
    const { records, damaged } = this.#journal.replay();
    const state = stateOf(records);
    if (!damaged) this.options.storage.keepOnly(new Set(state.topics.keys()));
    let lost = false;
    for (const [uid, { resource, deleted }] of state.topics) {
      const topic = this.#openTopic(resource, uid);
      topic.deleted = deleted;
      if (!deleted) this.topics.set(resource.name, topic);
    }
    for (const [uid, { resource, topicUid, ...progress }] of state.subscriptions) {
      const topic = this.#byUid.get(topicUid);
      if (topic === undefined) continue;
      const reached = within(topic, progress);
      lost ||= reached.lost;
      const subscription = new Subscription(resource, uid, topic, reached.progress, this);
      this.subscriptions.set(resource.name, subscription);
      if (resource.detached) {
        subscription.end(failedPrecondition(`subscription ${resource.name} is detached from its topic`));
      } else this.#pushers.follow(subscription);
    }
    for (const [name, { resource, topicUid, progress }] of state.snapshots) {
      const topic = this.#byUid.get(topicUid);
      if (topic === undefined) continue;
      const reached = within(topic, progress);
      lost ||= reached.lost;
      this.snapshots.set(name, { resource, topic, progress: reached.progress });
    }
    // New messages get the positions of those that were lost, which the journal must not take for acknowledged.
    if (lost) this.#journal.compact(this.#changes());
    for (const topic of [...this.#byUid.values()]) this.#forgetTopic(topic);
  }

  /** What leads a journal to the state of now. */
  #changes(): Change[] {
    return [
      ...[...this.#byUid.values()].map(topicChange),
      ...[...this.subscriptions.values()].map((s) => subscriptionChange(s, s.progress())),
      ...[...this.snapshots.values()].map(snapshotChange),
    ];
  }

  #tidy(): void {
    try {
      this.#journal.compact(this.#changes());
    } catch (error) {
      this.options.warn(`the journal stays as it is: ${(error as Error).message}`);
    }
  }

  #tick(): void {
    const now = this.now();
    try {
      for (const subscription of this.subscriptions.values()) subscription.tick(now);
      if (now - this.#maintained < maintenanceMs) return;
      this.#maintained = now;
      this.#expire(now);
      for (const topic of this.#byUid.values()) this.#trim(topic, now);
      if (this.#journal.worthCompacting) this.#journal.compact(this.#changes());
    } catch (error) {
      this.options.warn((error as Error).message); // a disk that is full: what is in memory goes on
    }
  }

  #trim(topic: Topic, now: number): void {
    const floors = [
      ...this.#users(topic).map((s) => (s.resource.detached ? Infinity : s.floor())),
      ...this.snapshotsOf(topic).map(floorOf),
      ...(topic.retentionMs === undefined ? [] : [topic.retained(now - topic.retentionMs)]),
    ];
    topic.log.trim(Math.min(topic.log.end, ...floors));
  }

  /** Subscriptions that nobody used for the time of their expiration policy, and snapshots past their time. */
  #expire(now: number): void {
    for (const subscription of [...this.subscriptions.values()]) {
      if (subscription.unusedTooLong(now)) this.deleteSubscription(subscription, "expired unused");
    }
    for (const snapshot of [...this.snapshots.values()]) {
      const { expireTime } = snapshot.resource;
      if (expireTime !== undefined && Number(expireTime.seconds) * 1_000 <= now) this.deleteSnapshot(snapshot);
    }
  }
}

/** Where nothing that was published so far is left to do. */
function atEndOf({ log }: Topic): Progress {
  return { cursor: log.end, pending: [], acknowledged: [] };
}

/** After a power failure a journal may know of messages that the log has lost. */
function within(
  { log }: Topic,
  progress: { readonly cursor: number; readonly pending: Iterable<number>; readonly acknowledged: Iterable<number> },
): { readonly progress: Progress; readonly lost: boolean } {
  const pending = [...progress.pending].sort((a, b) => a - b);
  const acknowledged = [...progress.acknowledged];
  const there = (position: number) => position < log.end;
  return {
    progress: {
      cursor: Math.min(progress.cursor, log.end),
      pending: pending.filter(there),
      acknowledged: acknowledged.filter(there),
    },
    lost: progress.cursor > log.end || !pending.every(there) || !acknowledged.every(there),
  };
}
