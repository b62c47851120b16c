import { fromBinary } from "@bufbuild/protobuf";
import { type PubsubMessage, PubsubMessageSchema } from "../../gen/google/pubsub/v1/pubsub_pb.js";
import { invalidArgument } from "./errors.js";

// Limits: https://cloud.google.com/pubsub/quotas#resource_limits
export const maxMessagesPerRequest = 1_000;
export const maxRequestBytes = 10_000_000;
const maxAttributes = 100;
const maxKeyBytes = 256;
const maxValueBytes = 1_024;
const maxOrderingKeyBytes = 1_024;

/** Throws when the bytes are no message; those of a log are. */
export function decodeMessage(encoded: Uint8Array): PubsubMessage {
  return fromBinary(PubsubMessageSchema, encoded);
}

/** The attributes of an encoded message. */
export function attributesOf(encoded: Uint8Array): Readonly<Record<string, string>> {
  return decodeMessage(encoded).attributes;
}

/** Checks a message against the service's limits. Throws INVALID_ARGUMENT. Returns its size in bytes. */
export function checkMessage(message: PubsubMessage): number {
  const attributes = Object.entries(message.attributes);
  if (message.data.length === 0 && attributes.length === 0) {
    throw invalidArgument("a message needs data or at least one attribute");
  }
  if (attributes.length > maxAttributes) {
    throw invalidArgument(`a message has at most ${maxAttributes} attributes, not ${attributes.length}`);
  }
  const orderingKey = Buffer.byteLength(message.orderingKey);
  if (orderingKey > maxOrderingKeyBytes) {
    throw invalidArgument(`an ordering key has at most ${maxOrderingKeyBytes} bytes, not ${orderingKey}`);
  }
  let bytes = message.data.length + orderingKey;
  for (const [key, value] of attributes) bytes += checkAttribute(key, value);
  return bytes;
}

function checkAttribute(key: string, value: string): number {
  const keyBytes = Buffer.byteLength(key);
  const valueBytes = Buffer.byteLength(value);
  if (keyBytes === 0 || keyBytes > maxKeyBytes) {
    throw invalidArgument(`an attribute key has 1 to ${maxKeyBytes} bytes, "${key.slice(0, 40)}" has ${keyBytes}`);
  }
  // Client libraries have a name space of their own: https://cloud.google.com/pubsub/docs/open-telemetry-tracing
  if (key.startsWith("goog") && !key.startsWith("googclient_"))
    throw invalidArgument(`attribute "${key}": keys must not begin with goog`);
  if (valueBytes > maxValueBytes) {
    throw invalidArgument(`an attribute value has at most ${maxValueBytes} bytes, that of "${key}" has ${valueBytes}`);
  }
  return keyBytes + valueBytes;
}
