export { findSession, joinSession, type Session } from "./client.js";
export { forgetKept } from "./kept.js";
export { defaultOptions, type EmulatorFaults, noFaults, type SessionOptions } from "./options.js";
export { pubsubDirectory, type SessionKey, stateDirectory, stateHomeOf } from "./paths.js";
export { type PrivateEmulators, startPrivate } from "./private.js";
export type { Outcome, SessionAddresses } from "./protocol.js";
