import { create } from "@bufbuild/protobuf";
import {
  type KlioJob,
  KlioJobSchema,
  type KlioMessage,
  MetadataSchema,
  RecipientsSchema,
  Version,
} from "../../gen/klio_pb.js";

/** Who a job is in messages. */
export interface JobIdentity {
  readonly jobName: string;
  readonly gcpProject: string;
}

export type Reception = { readonly accepted: true } | { readonly accepted: false; readonly reason: string };

/**
 * Decides whether the message is meant for this job. If this job is the one whose children are to be triggered, the
 * message becomes top-down from here on (`anyone`).
 */
export function receive(message: KlioMessage, job: JobIdentity): Reception {
  return message.version === Version.V1 ? receiveV1(message, job) : receiveV2(message, job);
}

function receiveV1(message: KlioMessage, job: JobIdentity): Reception {
  const downstream = message.metadata?.downstream ?? [];
  if (downstream.length === 0 || downstream.some((j) => isJob(j, job))) return { accepted: true };
  return { accepted: false, reason: "the message is for other jobs" };
}

function receiveV2(message: KlioMessage, job: JobIdentity): Reception {
  const recipients = message.metadata?.intendedRecipients;
  switch (recipients?.recipients.case) {
    case "anyone":
      return { accepted: true };
    case "limited": {
      const limited = recipients.recipients.value;
      if (!limited.recipients.some((j) => isJob(j, job))) {
        return { accepted: false, reason: "the message is for other jobs" };
      }
      const resume = limited.triggerChildrenOf;
      if (resume !== undefined && isJob(resume, job)) {
        recipients.recipients = { case: "anyone", value: { $typeName: "Anyone" } };
      }
      return { accepted: true };
    }
    case undefined:
      return { accepted: false, reason: "the message names no recipients" };
  }
}

// Compared field by field: joined by a hyphen, as in Klio, project a-b with job c would equal project a with job b-c.
function isJob(entry: KlioJob, job: JobIdentity): boolean {
  return entry.jobName === job.jobName && entry.gcpProject === job.gcpProject;
}

/**
 * Addresses a message to a parent, which is to make this job's input first. A message for everyone comes back to this job and
 * goes on to everyone from here; one for single jobs stays with those and the parent.
 */
export function askParent(message: KlioMessage, parent: JobIdentity, job: JobIdentity): void {
  message.metadata ??= create(MetadataSchema);
  const recipients = message.metadata.intendedRecipients?.recipients;
  const limited = recipients?.case === "limited" ? recipients.value : undefined;
  const others = limited === undefined ? [create(KlioJobSchema, job)] : limited.recipients;
  const asked = others.some((j) => isJob(j, parent)) ? others : [...others, create(KlioJobSchema, parent)];
  const resume = limited === undefined ? create(KlioJobSchema, job) : limited.triggerChildrenOf;
  message.metadata.intendedRecipients = create(RecipientsSchema, {
    recipients: {
      case: "limited",
      value: { recipients: asked, ...(resume === undefined ? {} : { triggerChildrenOf: resume }) },
    },
  });
}

/** How often a job has taken a message, by the message's audit log. */
export function timesTaken(message: KlioMessage, job: JobIdentity): number {
  return (message.metadata?.jobAuditLog ?? []).filter((e) => e.klioJob !== undefined && isJob(e.klioJob, job)).length;
}

/** Notes in the message that this job took it. */
export function appendAudit(message: KlioMessage, job: JobIdentity): void {
  message.metadata ??= create(MetadataSchema);
  const now = Date.now();
  message.metadata.jobAuditLog.push({
    $typeName: "KlioJobAuditLogItem",
    timestamp: {
      $typeName: "google.protobuf.Timestamp",
      seconds: BigInt(Math.floor(now / 1_000)),
      nanos: (now % 1_000) * 1_000_000,
    },
    klioJob: { $typeName: "KlioJob", ...job, inputs: [] },
  });
}
