import { deadLetterSubscription, type EffectiveConfig } from "@klio/config/effective";

/** What a job needs to exist. */
export interface Resources {
  readonly topics: readonly string[];
  readonly subscriptions: readonly { readonly name: string; readonly topic: string }[];
  readonly buckets: readonly string[];
  readonly ackDeadlineSeconds: number;
}

/** The topics, subscriptions and buckets of a job, the dead letters' among them. */
export function planResources(config: EffectiveConfig): Resources {
  const { events, data, delivery } = config.job_config;
  const topics = new Set<string>();
  const subscriptions = new Map<string, string>();
  for (const input of events.inputs) {
    if (input.topic === undefined) continue; // the subscription is somebody else's
    topics.add(input.topic);
    subscriptions.set(input.subscription, input.topic);
  }
  for (const output of events.outputs) topics.add(output.topic);
  if (delivery.dead_letter !== "none") {
    topics.add(delivery.dead_letter);
    // A topic keeps nothing by itself: without a subscription every dead letter would be lost.
    subscriptions.set(deadLetterSubscription(delivery.dead_letter), delivery.dead_letter);
  }
  const locations = [...data.inputs, ...data.outputs].map((d) => d.location);
  return {
    topics: [...topics],
    subscriptions: [...subscriptions].map(([name, topic]) => ({ name, topic })),
    buckets: [...new Set(locations.map((l) => l.replace(/^gs:\/\//, "").split("/")[0] ?? ""))],
    ackDeadlineSeconds: Math.round(delivery.ack_deadline_ms / 1_000),
  };
}
