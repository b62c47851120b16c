import { createHash } from "node:crypto";
import type { EffectiveConfig } from "@klio/config/effective";
import { create } from "@bufbuild/protobuf";
import {
  appendAudit,
  decodeMessage,
  elementOf,
  encodingAttribute,
  type JobIdentity,
  klioIdAttribute,
  type KlioMessage,
  KlioMessageSchema,
  receive,
  UndecodableError,
} from "../message/index.js";
import type { Delivery } from "./source.js";
import { traceOf } from "./trace-attributes.js";
import type { Work } from "./work.js";

/** What is to become of a received message, as far as the message alone tells. */
export type Intake = { readonly work: Work } & (
  { readonly decision: "process" } | { readonly decision: "drop" | "pass" | "undecodable"; readonly reason: string }
);

export interface Receipt {
  /** Unique in this process. */
  readonly id: bigint;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Decodes a message and decides by recipients and ping; existence of objects is for the worker to look at. */
export function takeIn(delivery: Delivery, { id, now }: Receipt, config: EffectiveConfig, job: JobIdentity): Intake {
  let message: KlioMessage;
  let element: string;
  try {
    message = decodeMessage(delivery.data, {
      allowNonKlio: config.job_config.allow_non_klio_messages,
      raw: delivery.attributes[encodingAttribute] === "raw",
    });
    element = elementOf(message);
  } catch (error) {
    if (!(error instanceof UndecodableError)) throw error;
    const work = makeWork(delivery, { id, now }, create(KlioMessageSchema), "");
    return { work, decision: "undecodable", reason: error.message };
  }
  const reception = receive(message, job);
  if (!reception.accepted) {
    return { work: makeWork(delivery, { id, now }, message, element), decision: "drop", reason: reception.reason };
  }
  appendAudit(message, job);
  const work = makeWork(delivery, { id, now }, message, element);
  const globalPing = config.job_config.data.inputs[0]?.ping ?? false;
  if (globalPing || message.metadata?.ping === true) return { work, decision: "pass", reason: "ping" };
  return { work, decision: "process" };
}

/** A carried id as `klio-by` can hold it; one of another form is hashed, an empty one is none. */
function checkedId(id: string | undefined): string | undefined {
  if (id === undefined || id === "") return undefined;
  return /^[\w.-]{1,64}$/.test(id) ? id : createHash("sha256").update(id).digest("hex").slice(0, 32);
}

function makeWork(delivery: Delivery, { id, now }: Receipt, message: KlioMessage, element: string): Work {
  const own = checkedId(delivery.attributes[klioIdAttribute]);
  const delivered = `${delivery.messageId}@${delivery.publishTime}`;
  return {
    id,
    delivery,
    leases: [delivery.lease],
    klioId: own ?? delivery.messageId,
    delivered,
    identity: own ?? delivered,
    element,
    message,
    receivedAt: now,
    startedAt: 0,
    starts: 0,
    charged: 0,
    overtaken: 0,
    postponed: 0,
    trace: traceOf(delivery.attributes),
    node: undefined,
    publishing: false,
    alone: false,
    lines: [],
    deadLetter: undefined,
  };
}
