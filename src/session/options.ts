import type { Faults, StorageFaults } from "@klio/emulators/faults";

/** What goes wrong on purpose, in each of the emulators. */
export interface EmulatorFaults {
  /** Of both. Undefined when nothing goes wrong. */
  readonly seed?: number;
  readonly pubsub: Faults;
  readonly storage: StorageFaults;
}

export const noFaults: EmulatorFaults = { pubsub: {}, storage: {} };

/** How the emulators of a session run. */
export interface SessionOptions {
  /** The address they listen on. */
  readonly host: string;
  /** Ports to try first. */
  readonly pubsubPort: number;
  readonly storagePort: number;
  /** Pub/Sub's messages, topics and subscriptions end with the session. */
  readonly inMemory: boolean;
  /** What goes wrong on purpose. */
  readonly faults: EmulatorFaults;
}

/** The ports are those that Google's Pub/Sub emulator and most Cloud Storage emulators use. */
export const defaultOptions: SessionOptions = {
  host: "127.0.0.1",
  pubsubPort: 8085,
  storagePort: 9199,
  inMemory: false,
  faults: noFaults,
};
