export type { FaultEvent } from "./fault-schedule.js";
export { type FaultKind, faultKinds, type Faults } from "./pubsub/faults.js";
export { DirectoryInUseError } from "./directory-lock.js";
export type { PubSubEvent } from "./pubsub/observe.js";
export { startPubSub, type PubSubEmulator, type PubSubOptions } from "./pubsub/server.js";
export { startStorage, type StorageEmulator, type StorageOptions } from "./storage/server.js";
export type { StorageEvent } from "./storage/observe.js";
export { type StorageFaultKind, storageFaultKinds, type StorageFaults } from "./storage/faults.js";
