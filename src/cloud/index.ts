export { type Created, openPubSub, type PubSubAdmin } from "./pubsub.js";
export { openStorage, type StorageAdmin } from "./storage.js";
