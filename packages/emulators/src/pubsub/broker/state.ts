import type {
  Snapshot as SnapshotResource,
  Subscription as SubscriptionResource,
  Topic as TopicResource,
} from "../../../gen/google/pubsub/v1/pubsub_pb.js";
import type { JournalRecord } from "../../../gen/journal_pb.js";
import type { Change } from "../log/journal.js";
import type { Snapshot } from "./snapshot.js";
import type { Progress } from "./source.js";
import type { Subscription } from "./subscription.js";
import type { Topic } from "./topic.js";

interface SubscriptionState {
  readonly resource: SubscriptionResource;
  readonly topicUid: string;
  readonly cursor: number;
  readonly pending: Set<number>;
  readonly acknowledged: Set<number>;
}

/** What a journal's records come to. */
export interface State {
  /** By uid. */
  readonly topics: Map<string, { readonly resource: TopicResource; readonly deleted: boolean }>;
  /** By uid. */
  readonly subscriptions: Map<string, SubscriptionState>;
  /** By name. */
  readonly snapshots: Map<
    string,
    { readonly resource: SnapshotResource; readonly topicUid: string; readonly progress: Progress }
  >;
}

const noProgress: Progress = { cursor: 0, pending: [], acknowledged: [] };

export function stateOf(records: readonly JournalRecord[]): State {
  const state: State = { topics: new Map(), subscriptions: new Map(), snapshots: new Map() };
  for (const record of records) apply(state, record);
  return state;
}

function apply(state: State, { change }: JournalRecord): void {
  switch (change.case) {
    case "topic":
      if (change.value.resource === undefined) return;
      state.topics.set(change.value.uid, { resource: change.value.resource, deleted: change.value.deleted });
      return;
    case "topicDeleted":
      state.topics.delete(change.value);
      return;
    case "subscription": {
      const { uid, resource, topicUid, progress } = change.value;
      if (resource === undefined) return;
      const { cursor, pending, acknowledged } = progress ?? state.subscriptions.get(uid) ?? noProgress;
      state.subscriptions.set(uid, {
        resource,
        topicUid,
        cursor,
        pending: new Set(pending),
        acknowledged: new Set(acknowledged),
      });
      return;
    }
    case "subscriptionDeleted":
      state.subscriptions.delete(change.value);
      return;
    case "snapshot": {
      const { resource, topicUid, progress } = change.value;
      if (resource !== undefined) {
        state.snapshots.set(resource.name, { resource, topicUid, progress: progress ?? noProgress });
      }
      return;
    }
    case "snapshotDeleted":
      state.snapshots.delete(change.value);
      return;
    case "acknowledged": {
      const subscription = state.subscriptions.get(change.value.subscriptionUid);
      for (const position of change.value.positions) {
        if (position >= (subscription?.cursor ?? 0)) subscription?.acknowledged.add(position);
        else subscription?.pending.delete(position);
      }
      return;
    }
    case undefined:
      return; // written by a later version
  }
}

export function topicChange(topic: Topic): Change {
  return { case: "topic", value: { uid: topic.uid, resource: topic.resource, deleted: topic.deleted } };
}

/** `progress` left out: as it was. */
export function subscriptionChange(
  { uid, resource, topic }: Pick<Subscription, "uid" | "resource" | "topic">,
  progress?: Progress,
): Change {
  const value = {
    uid,
    resource,
    topicUid: topic.uid,
    ...(progress === undefined ? {} : { progress: mutable(progress) }),
  };
  return { case: "subscription", value };
}

export function snapshotChange({ resource, topic, progress }: Snapshot): Change {
  return { case: "snapshot", value: { resource, topicUid: topic.uid, progress: mutable(progress) } };
}

function mutable({ cursor, pending, acknowledged }: Progress) {
  return { cursor, pending: [...pending], acknowledged: [...acknowledged] };
}
