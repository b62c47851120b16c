import { clone, create } from "@bufbuild/protobuf";
import { durationFromMs, EmptySchema } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  ListSubscriptionsResponseSchema,
  PullResponseSchema,
  type Subscriber,
  type Subscription as SubscriptionResource,
  Subscription_State,
  SubscriptionSchema,
} from "../../gen/google/pubsub/v1/pubsub_pb.js";
import type { Broker } from "./broker.js";
import { alreadyExists, invalidArgument, notFound, unimplemented } from "./errors.js";
import { parseName, parseProject } from "./names.js";
import { pageOf } from "./paging.js";
import { toReceived } from "./received.js";
import { serveStream } from "./streaming-pull.js";

/** How long a pull without return_immediately waits for a message, in milliseconds. */
const pullWaitMs = 20_000;
const retentionMs = 7 * 24 * 3_600 * 1_000;
const expirationMs = 31 * 24 * 3_600 * 1_000;

/** google.pubsub.v1.Subscriber. What is left out answers UNIMPLEMENTED. */
export function subscriberService(broker: Broker): Partial<ServiceImpl<typeof Subscriber>> {
  const find = (name: string) => {
    const found = broker.subscriptions.get(parseName(name, "subscriptions"));
    if (found === undefined) throw notFound(`subscription not found: ${name}`);
    return found;
  };
  return {
    createSubscription(request) {
      const name = parseName(request.name, "subscriptions");
      const topic = parseName(request.topic, "topics");
      refuseUnsupported(request);
      if (broker.subscriptions.has(name)) throw alreadyExists(`subscription already exists: ${name}`);
      if (!broker.topics.has(topic)) throw notFound(`topic not found: ${topic}`);
      return clone(SubscriptionSchema, broker.addSubscription(withDefaults(request)).resource);
    },
    getSubscription: (request) => find(request.subscription).resource,
    listSubscriptions(request) {
      const prefix = `${parseProject(request.project)}/subscriptions/`;
      const all = [...broker.subscriptions].filter(([name]) => name.startsWith(prefix));
      const page = pageOf(all, request.pageSize, request.pageToken);
      return create(ListSubscriptionsResponseSchema, {
        subscriptions: page.items.map((s) => s.resource),
        nextPageToken: page.nextPageToken,
      });
    },
    deleteSubscription(request) {
      broker.deleteSubscription(find(request.subscription).resource.name);
      return create(EmptySchema);
    },
    async pull(request, context) {
      const subscription = find(request.subscription);
      if (request.maxMessages <= 0) throw invalidArgument(`max_messages is positive, not ${request.maxMessages}`);
      // eslint-disable-next-line @typescript-eslint/no-deprecated -- clients still send it
      const wait = request.returnImmediately ? 0 : pullWaitMs;
      const leases = await subscription.pull(Math.min(request.maxMessages, 1_000), wait, context.signal);
      return create(PullResponseSchema, { receivedMessages: leases.map(toReceived) });
    },
    streamingPull: (requests, context) => serveStream(requests, find, context.signal),
    acknowledge(request) {
      find(request.subscription).acknowledge(request.ackIds);
      return create(EmptySchema);
    },
    modifyAckDeadline(request) {
      const seconds = request.ackDeadlineSeconds;
      if (seconds < 0 || seconds > 600) throw invalidArgument(`ack_deadline_seconds is 0 to 600, not ${seconds}`);
      const subscription = find(request.subscription);
      for (const ackId of request.ackIds) subscription.modifyDeadline(ackId, seconds);
      return create(EmptySchema);
    },
  };
}

function withDefaults(request: SubscriptionResource): SubscriptionResource {
  const seconds = request.ackDeadlineSeconds === 0 ? 10 : request.ackDeadlineSeconds;
  if (seconds < 10 || seconds > 600) throw invalidArgument(`ack_deadline_seconds is 10 to 600, not ${seconds}`);
  return create(SubscriptionSchema, {
    name: request.name,
    topic: request.topic,
    labels: request.labels,
    ackDeadlineSeconds: seconds,
    enableMessageOrdering: request.enableMessageOrdering,
    messageRetentionDuration: request.messageRetentionDuration ?? durationFromMs(retentionMs),
    expirationPolicy: request.expirationPolicy ?? { ttl: durationFromMs(expirationMs) },
    state: Subscription_State.ACTIVE,
  });
}

function refuseUnsupported(request: SubscriptionResource): void {
  const asked = [
    [(request.pushConfig?.pushEndpoint ?? "") !== "", "push_config"],
    [request.bigqueryConfig !== undefined, "bigquery_config"],
    [request.cloudStorageConfig !== undefined, "cloud_storage_config"],
    [request.retainAckedMessages, "retain_acked_messages"],
    [request.filter !== "", "filter"],
    [request.deadLetterPolicy !== undefined, "dead_letter_policy"],
    [request.retryPolicy !== undefined, "retry_policy"],
    [request.detached, "detached"],
    [request.enableExactlyOnceDelivery, "enable_exactly_once_delivery"],
    [request.messageTransforms.length > 0, "message_transforms"],
  ] as const;
  for (const [set, field] of asked) {
    if (set) throw unimplemented(`this emulator does not support Subscription.${field}`);
  }
}
