import { create } from "@bufbuild/protobuf";
import { type ReceivedMessage, ReceivedMessageSchema } from "../../gen/google/pubsub/v1/pubsub_pb.js";
import type { Lease } from "./subscription.js";

/** `delivery_attempt` stays 0: the service fills it only for subscriptions with a dead-letter policy. */
export function toReceived(lease: Lease): ReceivedMessage {
  return create(ReceivedMessageSchema, { ackId: lease.ackId, message: lease.entry.stored.message });
}
