import type { Broker } from "../broker/broker.js";
import { pushes } from "../broker/policies.js";
import type { Snapshot } from "../broker/snapshot.js";
import type { Subscription } from "../broker/subscription.js";
import type { Topic } from "../broker/topic.js";
import { failedPrecondition, notFound } from "../errors.js";
import { parseName } from "./names.js";

// Each throws INVALID_ARGUMENT for what is no name, and NOT_FOUND.

export function findTopic(broker: Broker, name: string): Topic {
  const found = broker.topics.get(parseName(name, "topics"));
  if (found === undefined) throw notFound(`topic not found: ${name}`);
  return found;
}

export function findSubscription(broker: Broker, name: string): Subscription {
  const found = broker.subscriptions.get(parseName(name, "subscriptions"));
  if (found === undefined) throw notFound(`subscription not found: ${name}`);
  return found;
}

/** A subscription to receive from. Throws FAILED_PRECONDITION when it is detached or pushes. */
export function findPullable(broker: Broker, name: string): Subscription {
  const found = findSubscription(broker, name);
  if (found.ended !== undefined) throw found.ended;
  if (pushes(found.resource)) {
    throw failedPrecondition(`subscription ${name} has a push endpoint: its messages cannot be pulled`);
  }
  return found;
}

export function findSnapshot(broker: Broker, name: string): Snapshot {
  const found = broker.snapshots.get(parseName(name, "snapshots"));
  if (found === undefined) throw notFound(`snapshot not found: ${name}`);
  return found;
}
