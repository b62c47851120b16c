import { create } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  ListSubscriptionsResponseSchema,
  PullResponseSchema,
  PushConfigSchema,
  type Subscriber,
  SubscriptionSchema,
} from "../../../gen/google/pubsub/v1/pubsub_pb.js";
import type { Broker } from "../broker/broker.js";
import type { Subscription } from "../broker/subscription.js";
import { alreadyExists, invalidArgument, notFound, unavailable } from "../errors.js";
import { failureOf, requireAckIds } from "./acknowledging.js";
import { applyMask } from "./field-mask.js";
import { findPullable, findSubscription, findTopic } from "./find.js";
import { parseName } from "./names.js";
import { pageOfProject } from "./paging.js";
import { pullOnce } from "./pull.js";
import { toReceived } from "./received.js";
import { snapshotMethods } from "./snapshots.js";
import { serveStream } from "./streaming-pull.js";
import {
  checkAckDeadline,
  checkSubscription,
  completed,
  shown,
  subscriptionFields,
  withDefaults,
} from "./subscription-resource.js";

/** How long a pull without return_immediately waits for a message, in milliseconds. */
const pullWaitMs = 20_000;
/** What a pull brings at most, however much it asks for. */
const maxPulled = 1_000;

/** google.pubsub.v1.Subscriber. */
export function subscriberService(broker: Broker): ServiceImpl<typeof Subscriber> {
  const mayFail = () => {
    if (broker.faults.strikes("unavailable")) throw unavailable("a fault: the request was not carried out");
  };
  return {
    ...subscriptionMethods(broker),
    ...snapshotMethods(broker),
    async pull(request, context) {
      const subscription = findPullable(broker, request.subscription);
      if (request.maxMessages <= 0) throw invalidArgument(`max_messages is positive, not ${request.maxMessages}`);
      mayFail();
      // eslint-disable-next-line @typescript-eslint/no-deprecated -- clients still send it
      const waitMs = request.returnImmediately ? 0 : pullWaitMs;
      const max = Math.min(request.maxMessages, maxPulled);
      const deliveries = await pullOnce(subscription, max, waitMs, context.signal);
      return create(PullResponseSchema, { receivedMessages: deliveries.map(toReceived) });
    },
    streamingPull: (requests, context) => serveStream(broker, requests, context),
    acknowledge(request) {
      const subscription = findSubscription(broker, request.subscription);
      requireAckIds(request.ackIds);
      mayFail();
      const failure = failureOf(subscription, subscription.acknowledge(request.ackIds));
      if (failure !== undefined) throw failure;
      return create(EmptySchema);
    },
    modifyAckDeadline(request) {
      checkAckDeadline("ack_deadline_seconds", request.ackDeadlineSeconds, 0);
      const subscription = findSubscription(broker, request.subscription);
      requireAckIds(request.ackIds);
      mayFail();
      const invalid = subscription.modifyDeadline(request.ackIds, request.ackDeadlineSeconds);
      const failure = failureOf(subscription, { invalid, lost: [] });
      if (failure !== undefined) throw failure;
      return create(EmptySchema);
    },
  };
}

type SubscriptionMethods =
  | "createSubscription"
  | "getSubscription"
  | "updateSubscription"
  | "listSubscriptions"
  | "deleteSubscription"
  | "modifyPushConfig";

function subscriptionMethods(broker: Broker): Pick<ServiceImpl<typeof Subscriber>, SubscriptionMethods> {
  const show = ({ resource, topic }: Subscription) => shown(resource, topic.resource);
  const checked = (resource: ReturnType<typeof show>, before?: ReturnType<typeof show>) => {
    checkSubscription(resource);
    const dead = resource.deadLetterPolicy?.deadLetterTopic;
    const unchanged = dead === before?.deadLetterPolicy?.deadLetterTopic; // it may be gone since
    if (dead !== undefined && !unchanged && !broker.topics.has(dead)) {
      throw notFound(`dead-letter topic not found: ${dead}`);
    }
    return resource;
  };
  return {
    createSubscription(request) {
      const name = parseName(request.name, "subscriptions");
      parseName(request.topic, "topics");
      const resource = checked(withDefaults(request));
      if (broker.subscriptions.has(name)) throw alreadyExists(`subscription already exists: ${name}`);
      return show(broker.createSubscription(resource, findTopic(broker, request.topic)));
    },
    getSubscription: (request) => show(findSubscription(broker, request.subscription)),
    updateSubscription(request) {
      const subscription = findSubscription(broker, request.subscription?.name ?? "");
      const { resource } = subscription;
      const masked = applyMask(
        SubscriptionSchema,
        resource,
        request.subscription,
        request.updateMask,
        subscriptionFields,
      );
      broker.updateSubscription(subscription, checked(completed(masked), resource));
      return show(subscription);
    },
    listSubscriptions(request) {
      const { items, nextPageToken } = pageOfProject(broker.subscriptions, "subscriptions", request);
      return create(ListSubscriptionsResponseSchema, { subscriptions: items.map(show), nextPageToken });
    },
    deleteSubscription(request) {
      broker.deleteSubscription(findSubscription(broker, request.subscription));
      return create(EmptySchema);
    },
    modifyPushConfig(request) {
      const subscription = findSubscription(broker, request.subscription);
      const pushConfig = request.pushConfig ?? create(PushConfigSchema);
      broker.updateSubscription(
        subscription,
        checked(create(SubscriptionSchema, { ...subscription.resource, pushConfig }), subscription.resource),
      );
      return create(EmptySchema);
    },
  };
}
