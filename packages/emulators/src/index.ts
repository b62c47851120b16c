export { startPubSub, type PubSubEmulator, type PubSubOptions } from "./pubsub/server.js";
export { startStorage, type StorageEmulator, type StorageOptions } from "./storage/server.js";
