import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  ExpirationPolicySchema,
  PushConfigSchema,
  type Subscription,
  Subscription_State,
  SubscriptionSchema,
  type Topic,
} from "../../../gen/google/pubsub/v1/pubsub_pb.js";
import {
  defaultMaxAttempts,
  defaultRetentionMs,
  maxBackOffMs,
  milliseconds,
  minBackOffMs,
  pushes,
} from "../broker/policies.js";
import { checkPushConfig } from "../broker/push-request.js";
import { invalidArgument, unimplemented } from "../errors.js";
import { compileFilter } from "../filter/filter.js";
import { checkDuration, day, minute } from "./durations.js";
import type { Mutability } from "./field-mask.js";
import { checkLabels } from "./labels.js";
import { parseName } from "./names.js";

// Ranges and defaults: google/pubsub/v1/pubsub.proto, at the fields.

export const subscriptionFields: Mutability = {
  mutable: [
    "ack_deadline_seconds",
    "dead_letter_policy",
    "enable_exactly_once_delivery",
    "expiration_policy",
    "labels",
    "message_retention_duration",
    "push_config",
    "retain_acked_messages",
    "retry_policy",
  ],
  unsupported: ["bigquery_config", "bigtable_config", "cloud_storage_config", "message_transforms"],
};

const leastAckDeadline = 10;
const mostAckDeadline = 600;

/** Throws INVALID_ARGUMENT for a number of seconds that no deadline may have. */
export function checkAckDeadline(field: string, seconds: number, least = leastAckDeadline): void {
  if (seconds >= least && seconds <= mostAckDeadline) return;
  throw invalidArgument(`${field} is ${least} to ${mostAckDeadline}, not ${seconds}`);
}

/** Throws INVALID_ARGUMENT for what is not allowed, UNIMPLEMENTED for what is not supported. */
export function checkSubscription(subscription: Subscription): void {
  refuseUnsupported(subscription);
  checkLabels(subscription.labels);
  checkAckDeadline("ack_deadline_seconds", subscription.ackDeadlineSeconds);
  checkDuration("message_retention_duration", subscription.messageRetentionDuration, 10 * minute, 31 * day);
  checkDuration("expiration_policy.ttl", subscription.expirationPolicy?.ttl, day, Infinity);
  checkDuration("retry_policy.minimum_backoff", subscription.retryPolicy?.minimumBackoff, 0, 10 * minute);
  checkDuration("retry_policy.maximum_backoff", subscription.retryPolicy?.maximumBackoff, 0, 10 * minute);
  const { minimumBackoff, maximumBackoff } = subscription.retryPolicy ?? {};
  if ((milliseconds(maximumBackoff) ?? Infinity) < (milliseconds(minimumBackoff) ?? 0)) {
    throw invalidArgument("retry_policy.maximum_backoff is less than minimum_backoff");
  }
  compileFilter(subscription.filter);
  checkPushConfig(subscription.pushConfig);
  checkDeadLetterPolicy(subscription);
  if (subscription.enableExactlyOnceDelivery && pushes(subscription)) {
    throw invalidArgument("exactly-once delivery is for pull subscriptions: this one has a push endpoint");
  }
}

function checkDeadLetterPolicy({ deadLetterPolicy }: Subscription): void {
  if (deadLetterPolicy === undefined) return;
  parseName(deadLetterPolicy.deadLetterTopic, "topics");
  const attempts = deadLetterPolicy.maxDeliveryAttempts;
  if (attempts !== 0 && (attempts < 5 || attempts > 100)) {
    throw invalidArgument(`max_delivery_attempts is 5 to 100, not ${attempts}`);
  }
}

/** A new subscription, with what the service fills in. */
export function withDefaults(request: Subscription): Subscription {
  return create(SubscriptionSchema, { ...completed(request), detached: false, state: Subscription_State.ACTIVE });
}

/** The defaults of everything that is not set. */
export function completed(subscription: Subscription): Subscription {
  const { ackDeadlineSeconds, deadLetterPolicy, retryPolicy } = subscription;
  return create(SubscriptionSchema, {
    ...subscription,
    ackDeadlineSeconds: ackDeadlineSeconds === 0 ? leastAckDeadline : ackDeadlineSeconds,
    pushConfig: subscription.pushConfig ?? create(PushConfigSchema),
    messageRetentionDuration: subscription.messageRetentionDuration ?? durationFromMs(defaultRetentionMs),
    expirationPolicy:
      subscription.expirationPolicy ?? create(ExpirationPolicySchema, { ttl: durationFromMs(31 * day) }),
    ...(deadLetterPolicy === undefined
      ? {}
      : {
          deadLetterPolicy: {
            ...deadLetterPolicy,
            maxDeliveryAttempts: deadLetterPolicy.maxDeliveryAttempts || defaultMaxAttempts,
          },
        }),
    ...(retryPolicy === undefined
      ? {}
      : {
          retryPolicy: {
            ...retryPolicy,
            minimumBackoff: retryPolicy.minimumBackoff ?? durationFromMs(minBackOffMs),
            maximumBackoff: retryPolicy.maximumBackoff ?? durationFromMs(maxBackOffMs),
          },
        }),
  });
}

/** A subscription as it is shown: with what its topic retains. */
export function shown(subscription: Subscription, topic: Topic): Subscription {
  if (topic.messageRetentionDuration === undefined) return subscription;
  return create(SubscriptionSchema, {
    ...subscription,
    topicMessageRetentionDuration: topic.messageRetentionDuration,
  });
}

function refuseUnsupported(request: Subscription): void {
  const asked = [
    [request.bigqueryConfig !== undefined, "bigquery_config"],
    [request.bigtableConfig !== undefined, "bigtable_config"],
    [request.cloudStorageConfig !== undefined, "cloud_storage_config"],
    [request.messageTransforms.length > 0, "message_transforms"],
    [Object.keys(request.tags).length > 0, "tags"],
  ] as const;
  for (const [set, field] of asked) {
    if (set) throw unimplemented(`this emulator does not support Subscription.${field}`);
  }
}
