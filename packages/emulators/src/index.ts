export { DirectoryInUseError } from "./directory-lock.js";
export type { FaultEvent } from "./fault-schedule.js";
export * from "./faults.js";
export type { PubSubEvent } from "./pubsub/observe.js";
export { startPubSub, type PubSubEmulator, type PubSubOptions } from "./pubsub/server.js";
export type { StorageEvent } from "./storage/observe.js";
export { startStorage, type StorageEmulator, type StorageOptions } from "./storage/server.js";
