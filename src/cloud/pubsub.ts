import { pubsubAddress } from "@klio/runtime/emulator-url";
import { KlioError } from "../errors.js";
import type { SubscriberClient } from "./google-pubsub.js";

/** What klio's commands ask of Pub/Sub. */
export interface PubSubAdmin {
  /** Fields are as google.pubsub.v1.Topic has them, in camel case. */
  createTopic(topic: { readonly name: string }): Promise<Created>;
  /** Throws a KlioError when the subscription exists on another topic: what is published to this one would be lost. */
  createSubscription(name: string, topic: string, ackDeadlineSeconds: number): Promise<Created>;
  /** A subscription with fields as google.pubsub.v1.Subscription has them, in camel case. */
  createSubscriptionOf(subscription: { readonly name: string; readonly topic: string }): Promise<Created>;
  topicExists(name: string): Promise<boolean>;
  /** Resolves to the message's id. */
  publish(topic: string, data: Uint8Array, attributes: Readonly<Record<string, string>>): Promise<string>;
  close(): Promise<void>;
}

export type Created = "created" | "existed";

// https://grpc.io/docs/guides/status-codes/
const notFound = 5;
const alreadyExists = 6;

/** `emulator` is `host:port`; absent: Pub/Sub with the application's default credentials. */
export async function openPubSub(emulator: string | undefined): Promise<PubSubAdmin> {
  const { PublisherClient, SubscriberClient } = await import("./google-pubsub.js");
  const options = emulator === undefined ? await signedIn() : await emulatorOptions(emulator);
  const publisher = new PublisherClient(options);
  const subscriber = new SubscriberClient(options);
  return {
    createTopic: (topic) => created(publisher.createTopic(topic)),
    createSubscriptionOf: (subscription) => created(subscriber.createSubscription(subscription)),
    async createSubscription(name, topic, ackDeadlineSeconds) {
      const state = await created(subscriber.createSubscription({ name, topic, ackDeadlineSeconds }));
      if (state === "created") return state;
      const [existing] = await subscriber.getSubscription({ subscription: name });
      if (existing.topic === topic) {
        await adjustDeadline(subscriber, existing, ackDeadlineSeconds, emulator);
        return state;
      }
      throw new KlioError(
        "SUBSCRIPTION_TOPIC",
        `${name} exists and receives from ${existing.topic ?? "nothing"}, not from ${topic}`,
        {
          hint: "Name another subscription in job_config.events.inputs, or delete this one (in a local session: klio emulators stop --reset-pubsub).",
        },
      );
    },
    async topicExists(topic) {
      try {
        await publisher.getTopic({ topic });
        return true;
      } catch (error) {
        if (codeOf(error) === notFound) return false;
        throw unreachable(emulator, error);
      }
    },
    async publish(topic, data, attributes) {
      const request = { topic, messages: [{ data, attributes: { ...attributes } }] };
      // The client waits for company otherwise.
      const [response] = await publisher.publish(request, { isBundling: false });
      return response.messageIds?.[0] ?? "";
    },
    close: async () => {
      // A client that could not sign in fails here once more.
      await Promise.allSettled([publisher.close(), subscriber.close()]);
    },
  };
}

/** A local session outlives changes of a job's configuration; what is in the cloud is not changed in passing. */
async function adjustDeadline(
  subscriber: SubscriberClient,
  existing: { readonly name?: string | null; readonly ackDeadlineSeconds?: number | null },
  ackDeadlineSeconds: number,
  emulator: string | undefined,
): Promise<void> {
  if (emulator === undefined || existing.ackDeadlineSeconds === ackDeadlineSeconds) return;
  const subscription = { name: existing.name ?? null, ackDeadlineSeconds };
  await subscriber.updateSubscription({ subscription, updateMask: { paths: ["ack_deadline_seconds"] } });
}

/** Looks for credentials before any client does: a client's failure to find them cannot be caught. */
async function signedIn(): Promise<Record<string, never>> {
  const { GoogleAuth } = await import("./google-pubsub.js");
  try {
    await new GoogleAuth({ scopes: ["https://www.googleapis.com/auth/pubsub"] }).getClient();
    return {};
  } catch (error) {
    throw unreachable(undefined, error);
  }
}

async function emulatorOptions(address: string) {
  // Otherwise the client looks for Google's metadata server on the network, in vain and with a warning.
  process.env["METADATA_SERVER_DETECTION"] ??= "none";
  const { grpc } = await import("./google-pubsub.js");
  return { ...pubsubAddress(address), sslCreds: grpc.credentials.createInsecure(), projectId: "emulator" };
}

async function created(call: Promise<unknown>): Promise<Created> {
  try {
    await call;
    return "created";
  } catch (error) {
    if (codeOf(error) === alreadyExists) return "existed";
    throw error;
  }
}

function codeOf(error: unknown): number | undefined {
  const code: unknown = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  return typeof code === "number" ? code : undefined;
}

function unreachable(emulator: string | undefined, error: unknown): KlioError {
  const reason = error instanceof Error ? error.message : String(error);
  const [where, hint] =
    emulator === undefined
      ? [
          "Pub/Sub in Google Cloud",
          "To work on this machine, start the job first: klio job run --direct-runner\n  For Google Cloud, sign in: gcloud auth application-default login",
        ]
      : [`the Pub/Sub emulator at ${emulator}`, "Is it running? Unset PUBSUB_EMULATOR_HOST to use the local session."];
  return new KlioError("PUBSUB_UNREACHABLE", `${where} cannot be used: ${reason}`, { hint, cause: error });
}
