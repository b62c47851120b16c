import type { Call, Reply } from "../http/call.js";
import type { ObjectStore } from "../store/store.js";
import type { Rewrites } from "./rewrites.js";
import type { Uploads } from "../store/resumable.js";

/** What the handlers of calls work on. */
export interface Service {
  readonly store: ObjectStore;
  readonly uploads: Uploads;
  readonly rewrites: Rewrites;
}

/** Answers a call; `names` are those in its path, in order. */
export type Handler = (service: Service, call: Call, ...names: string[]) => Reply | Promise<Reply>;
