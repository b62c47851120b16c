import { PublisherClient, SubscriberClient } from "@google-cloud/pubsub/build/src/v1/index.js";
import { grpc } from "google-gax";
import { pubsubAddress } from "../emulator-url.js";

// Of the official client only the low-level part: the high-level one stops extending leases after 60 minutes and gives back
// what is in hand when it is closed.

export interface Clients {
  readonly publisher: PublisherClient;
  readonly subscriber: SubscriberClient;
  /** Finds credentials. Rejects when there are none: by the first request nobody could catch that. */
  initialize(): Promise<void>;
  close(): Promise<void>;
}

/** `emulator` is `host:port`; absent: Pub/Sub with the application's default credentials. */
export function connect(emulator: string | undefined): Clients {
  const options = { ...reconnect, ...(emulator === undefined ? {} : emulatorOptions(emulator)) };
  const publisher = new PublisherClient(options);
  const subscriber = new SubscriberClient(options);
  return {
    publisher,
    subscriber,
    initialize: async () => {
      await Promise.all([publisher.initialize(), subscriber.initialize()]);
    },
    close: async () => {
      await Promise.all([publisher.close(), subscriber.close()]);
    },
  };
}

function emulatorOptions(address: string) {
  return { ...pubsubAddress(address), sslCreds: grpc.credentials.createInsecure(), projectId: "emulator" };
}

// A broker that comes back is found at once: left alone, gRPC waits up to two minutes before it looks again.
// https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md
const reconnect = {
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2_000,
  // A connection that is dead without a word, behind a router that has forgotten it, is noticed while nothing comes. Services may
  // refuse whoever asks more often: https://github.com/grpc/grpc/blob/master/doc/keepalive.md
  "grpc.keepalive_time_ms": 300_000,
  "grpc.keepalive_timeout_ms": 20_000,
};

/**
 * Options of a call that is tried again by whoever makes it: left to the client, that comes at intervals that grow to a minute. For
 * each call its own, because the client writes into them whom the call is to be routed to.
 */
export function triedOnce(timeoutMs = 15_000) {
  return { timeout: timeoutMs, retry: { retryCodes: [] } };
}

/** With exactly-once delivery an error names the ack ids that it is about in a trailer, which must stay small. */
export const maxIdsPerRequest = 64;

/** Status codes: https://grpc.io/docs/guides/status-codes/ */
export const Status = {
  cancelled: 1,
  invalidArgument: 3,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  unauthenticated: 16,
} as const;

export function statusOf(error: unknown): number | undefined {
  const code: unknown = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  return typeof code === "number" ? code : undefined;
}

/** What google-gax makes of a google.rpc.ErrorInfo. */
interface GoogleErrorInfo {
  readonly reason: string;
  readonly errorInfoMetadata: Readonly<Record<string, string>>;
}

/**
 * The ack ids that a request did nothing for, when it was carried out for the others: with exactly-once delivery the service names
 * them. "invalid": never; "later": the same request may do it. Undefined when it was not carried out at all.
 * Source: https://cloud.google.com/pubsub/docs/exactly-once-delivery#error_details
 */
export function failedIds(error: unknown): ReadonlyMap<string, "invalid" | "later"> | undefined {
  const { reason, errorInfoMetadata: named } = (error ?? {}) as Partial<GoogleErrorInfo>;
  if (reason !== "EXACTLY_ONCE_ACKID_FAILURE") return undefined;
  const failed = new Map<string, "invalid" | "later">();
  for (const [id, how] of Object.entries(named ?? {})) {
    failed.set(id, how.startsWith("TRANSIENT_FAILURE_") ? "later" : "invalid");
  }
  return failed.size > 0 ? failed : undefined;
}
