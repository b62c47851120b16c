import { create } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  DetachSubscriptionResponseSchema,
  ListTopicSnapshotsResponseSchema,
  ListTopicsResponseSchema,
  ListTopicSubscriptionsResponseSchema,
  type Publisher,
  PublishResponseSchema,
  TopicSchema,
} from "../../../gen/google/pubsub/v1/pubsub_pb.js";
import type { Broker } from "../broker/broker.js";
import { alreadyExists, invalidArgument, notFound, unavailable } from "../errors.js";
import { checkMessage, maxMessagesPerRequest, maxRequestBytes } from "../message.js";
import { applyMask } from "./field-mask.js";
import { findTopic } from "./find.js";
import { parseName } from "./names.js";
import { pageOf, pageOfProject } from "./paging.js";
import { checkTopic, topicFields } from "./topic-resource.js";

/** google.pubsub.v1.Publisher. `published` is called after each publish request. */
export function publisherService(broker: Broker, published: () => void): ServiceImpl<typeof Publisher> {
  return {
    createTopic(request) {
      const name = parseName(request.name, "topics");
      checkTopic(request);
      if (broker.topics.has(name)) throw alreadyExists(`topic already exists: ${name}`);
      return broker.createTopic(create(TopicSchema, request)).resource;
    },
    updateTopic(request) {
      const topic = findTopic(broker, request.topic?.name ?? "");
      const updated = applyMask(TopicSchema, topic.resource, request.topic, request.updateMask, topicFields);
      checkTopic(updated);
      broker.updateTopic(topic, updated);
      return updated;
    },
    getTopic: (request) => findTopic(broker, request.topic).resource,
    listTopics(request) {
      const { items, nextPageToken } = pageOfProject(broker.topics, "topics", request);
      return create(ListTopicsResponseSchema, { topics: items.map((t) => t.resource), nextPageToken });
    },
    listTopicSubscriptions(request) {
      const names = broker.subscriptionsOf(findTopic(broker, request.topic)).map((s) => s.resource.name);
      const page = pageOf(names, request.pageSize, request.pageToken);
      const { nextPageToken } = page;
      return create(ListTopicSubscriptionsResponseSchema, { subscriptions: page.names, nextPageToken });
    },
    listTopicSnapshots(request) {
      const names = broker.snapshotsOf(findTopic(broker, request.topic)).map((s) => s.resource.name);
      const page = pageOf(names, request.pageSize, request.pageToken);
      return create(ListTopicSnapshotsResponseSchema, { snapshots: page.names, nextPageToken: page.nextPageToken });
    },
    deleteTopic(request) {
      broker.deleteTopic(findTopic(broker, request.topic));
      return create(EmptySchema);
    },
    detachSubscription(request) {
      const name = parseName(request.subscription, "subscriptions");
      const subscription = broker.subscriptions.get(name);
      if (subscription === undefined) throw notFound(`subscription not found: ${name}`);
      if (!subscription.resource.detached) broker.detach(subscription);
      return create(DetachSubscriptionResponseSchema);
    },
    publish(request) {
      const topic = findTopic(broker, request.topic);
      const count = request.messages.length;
      if (count === 0 || count > maxMessagesPerRequest) {
        throw invalidArgument(`a publish request holds 1 to ${maxMessagesPerRequest} messages, not ${count}`);
      }
      const bytes = request.messages.reduce((sum, message) => sum + checkMessage(message), 0);
      if (bytes > maxRequestBytes) {
        throw invalidArgument(`a publish request holds at most ${maxRequestBytes} bytes, not ${bytes}`);
      }
      if (new Set(request.messages.map((m) => m.orderingKey)).size > 1) {
        throw invalidArgument(
          "the messages of one publish request must have the same ordering key, or all of them none",
        );
      }
      if (broker.faults.strikes("unavailable")) throw unavailable("a fault: the request was not carried out");
      const messageIds = broker.publish(topic, request.messages);
      published();
      return create(PublishResponseSchema, { messageIds });
    },
  };
}
