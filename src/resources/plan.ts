import { deadLetterKind, deadLetterSubscription, type EffectiveConfig } from "@klio/config/effective";

/** What a job needs to exist. */
export interface Resources {
  readonly topics: readonly string[];
  readonly subscriptions: readonly { readonly name: string; readonly topic: string }[];
  readonly buckets: readonly string[];
  readonly ackDeadlineSeconds: number;
  /** Whether it receives messages, be it from somebody else's subscription. */
  readonly receives: boolean;
}

/** The topics, subscriptions and buckets of a job, the dead letters' and the parents' topics among them. */
export function planResources(config: EffectiveConfig): Resources {
  const { events, data, delivery, dependencies } = config.job_config;
  const topics = new Set<string>();
  const subscriptions = new Map<string, string>();
  for (const input of events.inputs) {
    if (input.type !== "pubsub" || input.topic === undefined) continue; // a subscription alone is somebody else's
    topics.add(input.topic);
    subscriptions.set(input.subscription, input.topic);
  }
  for (const output of events.outputs) if (output.type === "pubsub") topics.add(output.topic);
  for (const parent of config.pipeline_options.streaming ? dependencies : []) topics.add(parent.input_topics[0] ?? "");
  if (deadLetterKind(delivery.dead_letter) === "topic") {
    topics.add(delivery.dead_letter);
    // A topic keeps nothing by itself: without a subscription every dead letter would be lost.
    subscriptions.set(deadLetterSubscription(delivery.dead_letter), delivery.dead_letter);
  }
  const files = [...events.inputs, ...events.outputs].flatMap((e) => (e.type === "file" ? [e.location] : []));
  const locations = [...data.inputs, ...data.outputs].map((d) => d.location);
  const inCloud = [...files, ...locations, delivery.dead_letter].filter((l) => l.startsWith("gs://"));
  return {
    topics: [...topics],
    subscriptions: [...subscriptions].map(([name, topic]) => ({ name, topic })),
    buckets: [...new Set(inCloud.map((l) => l.slice("gs://".length).split("/")[0] ?? ""))],
    receives: events.inputs.some((i) => i.type === "pubsub"),
    ackDeadlineSeconds: Math.round(delivery.ack_deadline_ms / 1_000),
  };
}

/** Whether a job needs neither topics nor buckets: it works on files of this machine alone. */
export function needsNothing(resources: Resources): boolean {
  return resources.topics.length + resources.buckets.length === 0 && !resources.receives;
}
