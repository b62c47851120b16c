import type { Created, PubSubAdmin, StorageAdmin } from "../cloud/index.js";
import type { Resources } from "./plan.js";

export interface Ensured {
  readonly kind: "topic" | "subscription" | "bucket";
  readonly name: string;
  readonly state: Created;
}

/** Creates what is missing. Rejects with the first failure; what was created by then stays. */
export async function ensureResources(
  resources: Resources,
  pubsub: PubSubAdmin,
  storage: StorageAdmin,
): Promise<Ensured[]> {
  const topics = resources.topics.map(async (name): Promise<Ensured> => ({
    kind: "topic",
    name,
    state: await pubsub.createTopic({ name }),
  }));
  const buckets = resources.buckets.map(async (name): Promise<Ensured> => ({
    kind: "bucket",
    name,
    state: await storage.createBucket(name),
  }));
  const first = await Promise.all([...topics, ...buckets]);
  const subscriptions = resources.subscriptions.map(async ({ name, topic }): Promise<Ensured> => {
    const state = await pubsub.createSubscription(name, topic, resources.ackDeadlineSeconds);
    return { kind: "subscription", name, state };
  });
  return [...first, ...(await Promise.all(subscriptions))];
}
