import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { PubsubMessage } from "../../../gen/google/pubsub/v1/pubsub_pb.js";
import type { LogRecord } from "../log/message-log.js";
import { decodeMessage } from "../message.js";

/**
 * A message as its dead-letter topic gets it: what was published, and where it comes from, as attributes.
 * Source: https://cloud.google.com/pubsub/docs/handling-failures#dead_letter_topic
 */
export function deadLetterMessage(subscription: string, record: LogRecord, attempts: number): PubsubMessage {
  const message = decodeMessage(record.message);
  const [, project = "", , id = ""] = subscription.split("/");
  const published =
    message.publishTime === undefined ? new Date(record.publishTime) : timestampDate(message.publishTime);
  message.attributes = {
    ...message.attributes,
    CloudPubSubDeadLetterSourceDeliveryCount: String(attempts),
    CloudPubSubDeadLetterSourceSubscription: id,
    CloudPubSubDeadLetterSourceSubscriptionProject: project,
    CloudPubSubDeadLetterSourceTopicPublishTime: published.toISOString(),
  };
  return message;
}
