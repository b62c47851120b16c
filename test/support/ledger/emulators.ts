import {
  type PubSubEmulator,
  type PubSubEvent,
  type PubSubOptions,
  startPubSub,
  startStorage,
  type StorageEmulator,
  type StorageEvent,
  type StorageOptions,
} from "@klio/emulators";
import type { NewEntry } from "./entry.js";
import type { Ledger } from "./ledger.js";

/** An embedded broker that tells the ledger of everything, its faults too. */
export async function startNotedPubSub(ledger: Ledger, options: PubSubOptions = {}): Promise<PubSubEmulator> {
  const begin = () => {
    ledger.append({ source: "broker", kind: "start" });
  };
  begin();
  const emulator: PubSubEmulator = await startPubSub({
    ...options,
    observe: (event) => {
      ledger.append(brokerEntry(event));
    },
    onFault: ({ fault }) => {
      ledger.append({ source: "fault", of: "pubsub", fault });
      // Whoever asks for a restart that goes on already is told of its end.
      if (fault === "restart") setImmediate(() => void emulator.restart().then(begin, () => undefined));
    },
  });
  return emulator;
}

export function brokerEntry({ resource, ...event }: PubSubEvent): NewEntry {
  return { source: "broker", ...event, resource: resource.slice(resource.lastIndexOf("/") + 1) };
}

/** An embedded Cloud Storage that tells the ledger of every version, and of its faults. */
export function startNotedStorage(ledger: Ledger, options: StorageOptions): Promise<StorageEmulator> {
  return startStorage({
    ...options,
    observe: (event) => {
      ledger.append(storageEntry(event));
    },
    onFault: ({ fault }) => {
      ledger.append({ source: "fault", of: "storage", fault });
    },
  });
}

function storageEntry({ metadata, ...event }: StorageEvent): NewEntry {
  const by = metadata["klio-by"] ?? "";
  return { source: "storage", ...event, by: by === "" ? [] : by.split(",") };
}
