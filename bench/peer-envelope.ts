import { appendAudit, childId, decodeMessage, encodeMessage, klioIdAttribute, receive } from "@klio/runtime/message";

const job = { jobName: "noop", gcpProject: "bench-project" };

/** A message that is read, and is for this job, as it goes on: noted in its audit log, under an id that its input determines. */
export function passedOn(id: string, data: Uint8Array): { data: Buffer; attributes: Record<string, string> } {
  const message = decodeMessage(data, { allowNonKlio: false, raw: false });
  if (!receive(message, job).accepted) throw new Error("the message is for another job");
  appendAudit(message, job);
  const attributes = { [klioIdAttribute]: childId(id, job.jobName, "noop", "main", 0) };
  return { data: Buffer.from(encodeMessage(message)), attributes };
}
