import { retentionMs } from "./policies.js";
import type { Progress } from "./source.js";
import type { Subscription } from "./subscription.js";

/**
 * Where a seek to a time leads: messages published before count as acknowledged, those after do not. Acknowledged ones come
 * back only where the subscription or its topic retains them. Source: https://cloud.google.com/pubsub/docs/replay-overview
 */
export function seekToTime(subscription: Subscription, time: number): Progress {
  const { resource, topic, around } = subscription;
  const position = topic.log.positionAt(time);
  if (resource.retainAckedMessages || topic.retentionMs !== undefined) {
    const oldest = topic.log.positionAt(around.now() - retentionMs(resource, topic.resource));
    return { cursor: Math.max(position, oldest), pending: [], acknowledged: [] };
  }
  const { cursor, pending, acknowledged } = subscription.progress();
  return {
    cursor: Math.max(cursor, position),
    pending: pending.filter((p) => p >= position),
    acknowledged: acknowledged.filter((p) => p >= position),
  };
}
