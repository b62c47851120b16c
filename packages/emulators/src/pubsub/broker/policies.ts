import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import type { Subscription, Topic } from "../../../gen/google/pubsub/v1/pubsub_pb.js";

// Defaults: google/pubsub/v1/pubsub.proto, at RetryPolicy, DeadLetterPolicy and Subscription.message_retention_duration.
export const minBackOffMs = 10_000;
export const maxBackOffMs = 600_000;
export const defaultMaxAttempts = 5;
export const defaultRetentionMs = 7 * 24 * 3_600_000;

/**
 * A message that was given back is handed out again at once, but for this: else one that is always given back would keep
 * both sides busy with nothing else, and a consumer that is about to leave would get its last messages again.
 */
const leastWaitMs = 50;

/** How long a message waits to be handed out again that was handed out `attempts` times. */
export function backOffMs({ retryPolicy }: Subscription, attempts: number): number {
  if (retryPolicy === undefined) return leastWaitMs;
  const least = milliseconds(retryPolicy.minimumBackoff) ?? minBackOffMs;
  const most = Math.max(least, milliseconds(retryPolicy.maximumBackoff) ?? maxBackOffMs);
  return Math.max(leastWaitMs, Math.min(most, least * 2 ** Math.min(Math.max(0, attempts - 1), 30)));
}

export function maxAttempts({ deadLetterPolicy }: Subscription): number {
  const set = deadLetterPolicy?.maxDeliveryAttempts ?? 0;
  return set === 0 ? defaultMaxAttempts : set;
}

/** How long a message is there for a subscription, in milliseconds from its publishing. */
export function retentionMs(subscription: Subscription, topic: Topic): number {
  const own = milliseconds(subscription.messageRetentionDuration) ?? defaultRetentionMs;
  return Math.max(own, milliseconds(topic.messageRetentionDuration) ?? 0);
}

/** Whether its messages go to an endpoint, and cannot be pulled. */
export function pushes({ pushConfig }: Subscription): boolean {
  return (pushConfig?.pushEndpoint ?? "") !== "";
}

/** After how many milliseconds without use a subscription is deleted. */
export function timeToLiveMs({ expirationPolicy }: Subscription): number {
  return milliseconds(expirationPolicy?.ttl) ?? Infinity;
}

export function milliseconds(duration: Duration | undefined): number | undefined {
  return duration === undefined ? undefined : durationMs(duration);
}
