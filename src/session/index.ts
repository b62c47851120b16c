export { findSession, joinSession, type Session } from "./client.js";
export { type SessionKey, stateDirectory, stateHomeOf } from "./paths.js";
export type { Outcome, SessionAddresses } from "./protocol.js";
