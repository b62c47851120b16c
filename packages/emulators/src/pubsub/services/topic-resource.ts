import type { Topic } from "../../../gen/google/pubsub/v1/pubsub_pb.js";
import { unimplemented } from "../errors.js";
import { checkDuration, day, minute } from "./durations.js";
import type { Mutability } from "./field-mask.js";
import { checkLabels } from "./labels.js";

export const topicFields: Mutability = {
  mutable: ["labels", "message_retention_duration"],
  unsupported: [
    "kms_key_name",
    "schema_settings",
    "ingestion_data_source_settings",
    "message_transforms",
    "message_storage_policy",
  ],
};

/** Throws INVALID_ARGUMENT for what is not allowed, UNIMPLEMENTED for what is not supported. */
export function checkTopic(topic: Topic): void {
  checkLabels(topic.labels);
  checkDuration("message_retention_duration", topic.messageRetentionDuration, 10 * minute, 31 * day);
  const asked = [
    [topic.kmsKeyName !== "", "kms_key_name"],
    [topic.schemaSettings !== undefined, "schema_settings"],
    [topic.ingestionDataSourceSettings !== undefined, "ingestion_data_source_settings"],
    [topic.messageTransforms.length > 0, "message_transforms"],
    [(topic.messageStoragePolicy?.allowedPersistenceRegions.length ?? 0) > 0, "message_storage_policy"],
    [Object.keys(topic.tags).length > 0, "tags"],
  ] as const;
  for (const [set, field] of asked) {
    if (set) throw unimplemented(`this emulator does not support Topic.${field}`);
  }
}
