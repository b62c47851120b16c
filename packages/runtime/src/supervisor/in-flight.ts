import type { InHand } from "./in-hand.js";
import type { Work } from "./work.js";
import type { Worker } from "./worker.js";

/** A message in hand, and where it is. */
export interface InFlight {
  readonly message_id: string;
  readonly klio_id: string;
  readonly element: string;
  readonly input: string;
  readonly state: "waiting" | "running" | "publishing";
  /** The node whose user code it is in. */
  readonly node?: string;
  /** Number and process id of the worker that runs it. */
  readonly worker?: number;
  readonly pid?: number;
  /** Starts of user code, and attempts that were charged. */
  readonly attempts: number;
  readonly charged: number;
  /** Seconds since it was received, and since the last attempt began. */
  readonly seconds: number;
  readonly attempt_seconds?: number;
}

/** What is in hand, the oldest first. */
export function listInFlight(inHand: InHand, workers: readonly Worker[], now: number): InFlight[] {
  const running = new Map<Work, Worker>();
  for (const worker of workers) for (const work of worker.inHand.values()) running.set(work, worker);
  const seconds = (since: number) => Math.round(now - since) / 1_000;
  return inHand.all().map((work) => {
    const worker = running.get(work);
    return {
      message_id: work.delivery.messageId,
      klio_id: work.klioId,
      element: work.element,
      input: work.delivery.input,
      state: work.publishing ? "publishing" : worker === undefined ? "waiting" : "running",
      ...(work.node === undefined ? {} : { node: work.node }),
      ...(worker === undefined
        ? {}
        : { worker: worker.number, pid: worker.pid, attempt_seconds: seconds(work.startedAt) }),
      attempts: work.starts,
      charged: work.charged,
      seconds: seconds(work.receivedAt),
    };
  });
}

/** How much is in hand. */
export interface Load {
  readonly messages: number;
  readonly bytes: number;
  /** When the oldest of it was published: milliseconds since the epoch; 0 when nothing is in hand. */
  readonly oldest: number;
}

export function measureLoad(inHand: InHand): Load {
  const all = inHand.all();
  const published = all.map((w) => w.delivery.publishTime).filter((time) => time > 0);
  const bytes = all.reduce((sum, w) => sum + w.delivery.data.length, 0);
  return { messages: all.length, bytes, oldest: published.reduce((a, b) => (a === 0 ? b : Math.min(a, b)), 0) };
}
