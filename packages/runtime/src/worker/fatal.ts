import { JobError } from "../engine/graph.js";
import { messageOf } from "../error-message.js";

export interface Fatal {
  readonly code: string;
  readonly message: string;
  readonly stack: string;
}

/** Why a job cannot run at all: its code does not load, its graph is wrong, or its `setup` throws. */
export function describeFatal(error: unknown): Fatal {
  const known = error instanceof JobError;
  const cause = known && error.cause instanceof Error ? error.cause : error;
  return {
    code: known ? error.code : "SETUP",
    message: messageOf(error),
    stack: cause instanceof Error ? (cause.stack ?? "") : "",
  };
}
