import { clone, create } from "@bufbuild/protobuf";
import { EmptySchema, timestampNow } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  ListTopicsResponseSchema,
  ListTopicSubscriptionsResponseSchema,
  type Publisher,
  PublishResponseSchema,
  PubsubMessageSchema,
  type Topic,
  TopicSchema,
} from "../../gen/google/pubsub/v1/pubsub_pb.js";
import type { Broker } from "./broker.js";
import { alreadyExists, invalidArgument, notFound, unimplemented } from "./errors.js";
import { checkMessage, maxMessagesPerRequest, maxRequestBytes } from "./message.js";
import { parseName, parseProject } from "./names.js";
import { pageOf } from "./paging.js";

/** google.pubsub.v1.Publisher. What is left out answers UNIMPLEMENTED. */
export function publisherService(broker: Broker): Partial<ServiceImpl<typeof Publisher>> {
  const topic = (name: string) => {
    const found = broker.topics.get(parseName(name, "topics"));
    if (found === undefined) throw notFound(`topic not found: ${name}`);
    return found;
  };
  return {
    createTopic(request) {
      const name = parseName(request.name, "topics");
      refuseUnsupported(request);
      if (broker.topics.has(name)) throw alreadyExists(`topic already exists: ${name}`);
      const created = create(TopicSchema, { name, labels: request.labels });
      broker.topics.set(name, created);
      return clone(TopicSchema, created);
    },
    getTopic: (request) => topic(request.topic),
    listTopics(request) {
      const prefix = `${parseProject(request.project)}/topics/`;
      const all = [...broker.topics].filter(([name]) => name.startsWith(prefix));
      const page = pageOf(all, request.pageSize, request.pageToken);
      return create(ListTopicsResponseSchema, { topics: page.items, nextPageToken: page.nextPageToken });
    },
    listTopicSubscriptions(request) {
      const names = broker.subscriptionsOf(topic(request.topic).name).map((s) => s.resource.name);
      const page = pageOf(
        names.map((n) => [n, n] as const),
        request.pageSize,
        request.pageToken,
      );
      return create(ListTopicSubscriptionsResponseSchema, {
        subscriptions: page.items,
        nextPageToken: page.nextPageToken,
      });
    },
    deleteTopic(request) {
      broker.deleteTopic(topic(request.topic).name);
      return create(EmptySchema);
    },
    publish(request) {
      const { name } = topic(request.topic);
      const count = request.messages.length;
      if (count === 0 || count > maxMessagesPerRequest) {
        throw invalidArgument(`a publish request holds 1 to ${maxMessagesPerRequest} messages, not ${count}`);
      }
      const checked = request.messages.map(checkMessage);
      const bytes = checked.reduce((sum, m) => sum + m.bytes, 0);
      if (bytes > maxRequestBytes) {
        throw invalidArgument(`a publish request holds at most ${maxRequestBytes} bytes, not ${bytes}`);
      }
      const publishTime = timestampNow();
      const stored = checked.map((m) => ({
        bytes: m.bytes,
        message: create(PubsubMessageSchema, { ...m.message, messageId: broker.nextMessageId(), publishTime }),
      }));
      broker.publish(name, stored);
      return create(PublishResponseSchema, { messageIds: stored.map((m) => m.message.messageId) });
    },
  };
}

function refuseUnsupported(topic: Topic): void {
  const asked = [
    [topic.kmsKeyName !== "", "kms_key_name"],
    [topic.schemaSettings !== undefined, "schema_settings"],
    [topic.messageRetentionDuration !== undefined, "message_retention_duration"],
    [topic.ingestionDataSourceSettings !== undefined, "ingestion_data_source_settings"],
    [topic.messageTransforms.length > 0, "message_transforms"],
  ] as const;
  for (const [set, field] of asked) {
    if (set) throw unimplemented(`this emulator does not support Topic.${field}`);
  }
}
