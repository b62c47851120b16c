import type { PubsubMessage } from "../../gen/google/pubsub/v1/pubsub_pb.js";
import { invalidArgument } from "./errors.js";

/** A published message as every subscription shares it; never changed after publishing. */
export interface StoredMessage {
  readonly message: PubsubMessage;
  /** What the message counts for in flow control: data, attributes and ordering key, in bytes. */
  readonly bytes: number;
}

// Limits: https://cloud.google.com/pubsub/quotas#resource_limits
export const maxMessagesPerRequest = 1_000;
export const maxRequestBytes = 10 * 1024 * 1024;
const maxAttributes = 100;
const maxKeyBytes = 256;
const maxValueBytes = 1_024;
const maxOrderingKeyBytes = 1_024;

/** Checks a message against the service's limits and measures it. Throws INVALID_ARGUMENT. */
export function checkMessage(message: PubsubMessage): StoredMessage {
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
  return { message, bytes };
}

function checkAttribute(key: string, value: string): number {
  const keyBytes = Buffer.byteLength(key);
  const valueBytes = Buffer.byteLength(value);
  if (keyBytes === 0 || keyBytes > maxKeyBytes) {
    throw invalidArgument(`an attribute key has 1 to ${maxKeyBytes} bytes, "${key.slice(0, 40)}" has ${keyBytes}`);
  }
  if (key.startsWith("goog")) throw invalidArgument(`attribute "${key}": keys must not begin with goog`);
  if (valueBytes > maxValueBytes) {
    throw invalidArgument(`an attribute value has at most ${maxValueBytes} bytes, that of "${key}" has ${valueBytes}`);
  }
  return keyBytes + valueBytes;
}
