// Names and types of what can go wrong on purpose, without the emulators themselves.
export { type FaultKind, faultKinds, type Faults } from "./pubsub/faults.js";
export { type StorageFaultKind, storageFaultKinds, type StorageFaults } from "./storage/faults.js";
