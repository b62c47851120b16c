import { klioIdAttribute } from "../message/index.js";
import type { OutgoingMessage } from "./output.js";
import type { Work } from "./work.js";

/** Why a message could not be processed. */
export interface Reason {
  readonly code: string;
  readonly message: string;
  readonly node: string;
}

// https://cloud.google.com/pubsub/quotas#resource_limits
const maxAttributes = 100;
const maxValueBytes = 1_024;

/** The dead letter of a message: its own bytes and attributes, and why it ended here as `klio-dead-letter-…`. */
export function deadLetter(
  work: Pick<Work, "delivery" | "klioId" | "charged">,
  reason: Reason,
  job: string,
  subscription: string,
): OutgoingMessage {
  const why = {
    [klioIdAttribute]: work.klioId,
    "klio-dead-letter-reason": reason.message,
    "klio-dead-letter-code": reason.code,
    "klio-dead-letter-node": reason.node,
    "klio-dead-letter-job": job,
    "klio-dead-letter-attempts": String(work.charged),
    "klio-dead-letter-subscription": subscription,
    "klio-dead-letter-message-id": work.delivery.messageId,
  };
  const own = Object.entries(work.delivery.attributes).filter(([key]) => !(key in why));
  const kept = own.slice(0, maxAttributes - Object.keys(why).length);
  const told = Object.entries(why).filter(([, value]) => value !== "");
  const attributes = Object.fromEntries([...kept, ...told.map(([k, v]) => [k, cut(v)] as const)]);
  return { element: "", data: work.delivery.data, attributes, orderingKey: work.delivery.orderingKey };
}

/** Shortens to what an attribute holds, at a character's border. */
function cut(text: string): string {
  if (Buffer.byteLength(text) <= maxValueBytes) return text;
  let end = Math.min(text.length, maxValueBytes);
  while (Buffer.byteLength(text.slice(0, end)) > maxValueBytes - 3) end -= 1;
  return `${text
    .slice(0, end)
    .toWellFormed()
    .replace(/\uFFFD$/, "")}…`;
}
