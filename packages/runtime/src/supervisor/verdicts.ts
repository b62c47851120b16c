import { type Failure, Failure_Kind } from "../../gen/worker_pb.js";
import type { Reason } from "./dead-letters.js";
import type { Death } from "./dispatcher.js";
import type { Work } from "./work.js";

/** What is to become of a message whose attempt failed. */
export type Verdict =
  /** No further attempt will help. */
  | { readonly kind: "bury"; readonly reason: Reason }
  /** The attempt counts against it. */
  | { readonly kind: "charge"; readonly reason: Reason }
  /** Once more, and the attempt does not count. */
  | { readonly kind: "again" }
  /** Once more after a while, and the attempt does not count: what failed is not the message's. */
  | { readonly kind: "later"; readonly reason: Reason }
  | { readonly kind: "give-back"; readonly why: string };

/** How often a message may lose the race for its output before that counts as an attempt. */
const maxOvertaken = 20;

export function judgeFailure(work: Work, failure: Failure): Verdict {
  const { code, message, node } = failure;
  const reason = { code, message, node };
  switch (failure.kind) {
    case Failure_Kind.PERMANENT:
      return { kind: "bury", reason };
    case Failure_Kind.CANCELLED:
      return { kind: "give-back", why: message };
    case Failure_Kind.OVERTAKEN:
      work.overtaken += 1;
      return work.overtaken <= maxOvertaken ? { kind: "again" } : { kind: "charge", reason };
    case Failure_Kind.STORAGE:
      return { kind: "later", reason };
    case Failure_Kind.ERROR:
    case Failure_Kind.TIMEOUT:
    case Failure_Kind.KIND_UNSPECIFIED:
      return { kind: "charge", reason };
  }
}

export function judgeDeath({ charged, ...reason }: Death): Verdict {
  return charged ? { kind: "charge", reason } : { kind: "again" };
}

/** Milliseconds before the next attempt: the first delay, doubled with each one that failed, up to the longest. */
export function retryDelay(firstMs: number, failed: number, longestMs: number): number {
  return Math.min(firstMs * 2 ** (failed - 1), longestMs);
}
