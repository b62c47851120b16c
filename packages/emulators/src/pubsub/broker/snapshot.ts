import type { Snapshot as SnapshotResource } from "../../../gen/google/pubsub/v1/pubsub_pb.js";
import type { Progress } from "./source.js";
import type { Topic } from "./topic.js";

/** How far a subscription had come: what was not acknowledged then, and everything published since, is in it. */
export interface Snapshot {
  resource: SnapshotResource;
  readonly topic: Topic;
  readonly progress: Progress;
}

/** The position of the first message that a snapshot still needs. */
export function floorOf({ progress }: Snapshot): number {
  return progress.pending[0] ?? progress.cursor;
}
