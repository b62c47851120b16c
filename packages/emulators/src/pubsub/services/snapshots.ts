import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { EmptySchema, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  ListSnapshotsResponseSchema,
  SeekResponseSchema,
  SnapshotSchema,
  type Subscriber,
} from "../../../gen/google/pubsub/v1/pubsub_pb.js";
import type { Broker } from "../broker/broker.js";
import { seekToTime } from "../broker/seek.js";
import type { Subscription } from "../broker/subscription.js";
import { alreadyExists, failedPrecondition, invalidArgument } from "../errors.js";
import { day, minute } from "./durations.js";
import { applyMask } from "./field-mask.js";
import { findSnapshot, findSubscription } from "./find.js";
import { checkLabels } from "./labels.js";
import { parseName } from "./names.js";
import { pageOfProject } from "./paging.js";

type SnapshotMethods =
  "createSnapshot" | "getSnapshot" | "listSnapshots" | "updateSnapshot" | "deleteSnapshot" | "seek";

/** A snapshot lives this long, less the age of its oldest message. Source: google.pubsub.v1.Snapshot.expire_time. */
const lifeMs = 7 * day;
const leastLifeMs = 60 * minute;

/** What google.pubsub.v1.Subscriber has of snapshots and seeking. */
export function snapshotMethods(broker: Broker): Pick<ServiceImpl<typeof Subscriber>, SnapshotMethods> {
  return {
    createSnapshot(request) {
      const subscription = findSubscription(broker, request.subscription);
      const [, project = ""] = request.subscription.split("/");
      const name = parseName(request.name || `projects/${project}/snapshots/s-${randomUUID()}`, "snapshots");
      checkLabels(request.labels);
      if (broker.snapshots.has(name)) throw alreadyExists(`snapshot already exists: ${name}`);
      if (subscription.ended !== undefined) throw subscription.ended;
      const { topic } = subscription;
      const expireTime = timestampFromMs(expireTimeOf(subscription, broker.now()));
      const resource = create(SnapshotSchema, {
        name,
        topic: subscription.resource.topic,
        expireTime,
        labels: request.labels,
      });
      broker.putSnapshot(resource, topic, subscription.progress());
      return resource;
    },
    getSnapshot: (request) => findSnapshot(broker, request.snapshot).resource,
    listSnapshots(request) {
      const { items, nextPageToken } = pageOfProject(broker.snapshots, "snapshots", request);
      return create(ListSnapshotsResponseSchema, { snapshots: items.map((s) => s.resource), nextPageToken });
    },
    updateSnapshot(request) {
      const { resource, topic, progress } = findSnapshot(broker, request.snapshot?.name ?? "");
      const fields = { mutable: ["labels"], unsupported: ["expire_time"] };
      const updated = applyMask(SnapshotSchema, resource, request.snapshot, request.updateMask, fields);
      checkLabels(updated.labels);
      broker.putSnapshot(updated, topic, progress);
      return updated;
    },
    deleteSnapshot(request) {
      broker.deleteSnapshot(findSnapshot(broker, request.snapshot));
      return create(EmptySchema);
    },
    seek(request) {
      const subscription = findSubscription(broker, request.subscription);
      if (subscription.ended !== undefined) throw subscription.ended;
      switch (request.target.case) {
        case "time":
          broker.seek(subscription, seekToTime(subscription, timestampMs(request.target.value)));
          break;
        case "snapshot": {
          const snapshot = findSnapshot(broker, request.target.value);
          if (snapshot.topic !== subscription.topic) {
            throw failedPrecondition(`snapshot ${snapshot.resource.name} is of another topic than the subscription`);
          }
          broker.seek(subscription, snapshot.progress);
          break;
        }
        case undefined:
          throw invalidArgument("a seek needs a time or a snapshot");
      }
      return create(SeekResponseSchema);
    },
  };
}

/** Throws FAILED_PRECONDITION when the snapshot would not live for an hour. */
function expireTimeOf(subscription: Subscription, now: number): number {
  const { pending, cursor } = subscription.progress();
  const oldest = pending[0] ?? cursor;
  const published = subscription.topic.log.readOne(oldest)?.publishTime ?? now;
  const expires = published + lifeMs;
  if (expires - now < leastLifeMs) {
    throw failedPrecondition(
      "the oldest message that is not acknowledged is too old: the snapshot would expire within an hour",
    );
  }
  return expires;
}
