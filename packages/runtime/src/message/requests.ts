import { create } from "@bufbuild/protobuf";
import { KlioJobSchema, type KlioMessage, KlioMessageSchema, Version } from "../../gen/klio_pb.js";
import type { JobIdentity } from "./recipients.js";

export interface RequestOptions {
  readonly element: string;
  /** The only job that shall process the message (bottom-up); absent: every job that receives it (top-down). */
  readonly target?: JobIdentity;
  readonly force?: boolean;
  readonly ping?: boolean;
  /** Version of the message, 2 unless the job's configuration is of version 1. */
  readonly version?: 1 | 2;
}

/** The message that asks for an element to be processed; its bytes are those Klio publishes. */
export function requestMessage(options: RequestOptions): KlioMessage {
  const target = options.target === undefined ? undefined : create(KlioJobSchema, options.target);
  const flags = { force: options.force ?? false, ping: options.ping ?? false };
  if (options.version === 1) {
    return create(KlioMessageSchema, {
      version: Version.V1,
      metadata: { ...flags, downstream: target === undefined ? [] : [target] },
      data: { entityId: options.element },
    });
  }
  return create(KlioMessageSchema, {
    version: Version.V2,
    metadata: {
      ...flags,
      intendedRecipients: {
        recipients:
          target === undefined ? { case: "anyone", value: {} } : { case: "limited", value: { recipients: [target] } },
      },
    },
    data: { element: Buffer.from(options.element) },
  });
}
