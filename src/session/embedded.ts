// Built as a module of its own, which commands load when they start emulators in their own process.
export { startPubSub, startStorage } from "@klio/emulators";
