import { create } from "@bufbuild/protobuf";
import { type ReceivedMessage, ReceivedMessageSchema } from "../../../gen/google/pubsub/v1/pubsub_pb.js";
import type { Delivery } from "../broker/consumer.js";

/** A delivery as it goes over the wire; the message is sent as it was stored. */
export function toReceived({ ackId, record, attempt }: Delivery): ReceivedMessage {
  return create(ReceivedMessageSchema, { ackId, message: record.message, deliveryAttempt: attempt });
}
