import { randomUUID } from "node:crypto";
import { type IncomingMessage, createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { PubSub, v1 } from "@google-cloud/pubsub";
import type { google } from "@google-cloud/pubsub/build/protos/protos.js";
import { expect } from "vitest";
import type { CapabilityId } from "./capabilities.js";

type Received = google.pubsub.v1.IReceivedMessage;
type TopicOptions = Omit<google.pubsub.v1.ITopic, "name">;
type SubscriptionOptions = Omit<google.pubsub.v1.ISubscription, "name" | "topic">;
type Published = Omit<google.pubsub.v1.IPubsubMessage, "data"> & { readonly data?: string | Buffer };
type Gax = ConstructorParameters<typeof v1.SubscriberClient>[0];

export const codes = {
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  failedPrecondition: 9,
  outOfRange: 11,
  unimplemented: 12,
} as const;

/** An emulator, and the official clients of it. */
export class Context {
  readonly project = `conformance-${randomUUID().slice(0, 8)}`;
  readonly client: PubSub;
  readonly publisher: InstanceType<typeof v1.PublisherClient>;
  readonly subscriber: InstanceType<typeof v1.SubscriberClient>;

  constructor(readonly address: string) {
    const [servicePath = "", port = ""] = address.split(":");
    this.client = new PubSub({ projectId: this.project, apiEndpoint: address, emulatorMode: true });
    const options = { servicePath, port: Number(port), sslCreds: this.client.options.sslCreds } as Gax;
    this.publisher = new v1.PublisherClient(options);
    this.subscriber = new v1.SubscriberClient(options);
  }

  async close(): Promise<void> {
    await Promise.all([this.client.close(), this.publisher.close(), this.subscriber.close()]);
  }

  name(collection: "topics" | "subscriptions" | "snapshots", id = `c-${randomUUID()}`): string {
    return `projects/${this.project}/${collection}/${id}`;
  }

  async topic(options: TopicOptions = {}): Promise<string> {
    const name = this.name("topics");
    await this.publisher.createTopic({ ...options, name });
    return name;
  }

  async subscription(topic: string, options: SubscriptionOptions = {}): Promise<string> {
    const name = this.name("subscriptions");
    await this.subscriber.createSubscription({ ackDeadlineSeconds: 10, ...options, name, topic });
    return name;
  }

  async pair(options: SubscriptionOptions = {}): Promise<{ topic: string; subscription: string }> {
    const topic = await this.topic();
    return { topic, subscription: await this.subscription(topic, options) };
  }

  /** Publishes in one request; a string is a message with that data. Returns the ids. */
  async publish(topic: string, ...messages: readonly (string | Published)[]): Promise<string[]> {
    const request = {
      topic,
      messages: messages.map((m) => {
        const { data, ...rest } = typeof m === "string" ? { data: m } : m;
        return { ...rest, ...(data === undefined ? {} : { data: Buffer.from(data) }) };
      }),
    };
    const [response] = await this.publisher.publish(request, { isBundling: false });
    return response.messageIds ?? [];
  }

  /** Pulls until there are `count` messages, or `ms` have passed. */
  async pull(subscription: string, count: number, ms = 8_000): Promise<Received[]> {
    const received: Received[] = [];
    const end = Date.now() + ms;
    while (received.length < count && Date.now() < end) {
      received.push(...(await this.pullOnce(subscription, count - received.length, end - Date.now())));
    }
    return received;
  }

  async pullOnce(subscription: string, maxMessages: number, timeout: number): Promise<Received[]> {
    try {
      const [response] = await this.subscriber.pull(
        { subscription, maxMessages },
        { timeout: Math.max(timeout, 1_200), retry: null },
      );
      return response.receivedMessages ?? [];
    } catch (error) {
      if ((error as { code?: number }).code === codes.deadlineExceeded) return [];
      throw error;
    }
  }

  async ack(subscription: string, received: readonly Received[]): Promise<void> {
    await this.subscriber.acknowledge({ subscription, ackIds: received.map((r) => r.ackId ?? "") });
  }

  async nack(subscription: string, received: readonly Received[]): Promise<void> {
    const ackIds = received.map((r) => r.ackId ?? "");
    await this.subscriber.modifyAckDeadline({ subscription, ackIds, ackDeadlineSeconds: 0 });
  }

  /** Opens a streaming pull whose first request is `first`. */
  stream(first: google.pubsub.v1.IStreamingPullRequest) {
    const stream = this.subscriber.streamingPull();
    const received: Received[] = [];
    const responses: google.pubsub.v1.IStreamingPullResponse[] = [];
    const failed = new Promise<{ code?: number }>((resolve) => {
      stream.on("error", resolve);
      stream.on("end", () => {
        resolve({ code: 0 });
      });
    });
    stream.on("data", (response: google.pubsub.v1.IStreamingPullResponse) => {
      responses.push(response);
      received.push(...(response.receivedMessages ?? []));
    });
    stream.write(first);
    return { stream, received, responses, failed };
  }
}

export const texts = (received: readonly Received[]) =>
  received.map((r) => Buffer.from((r.message?.data ?? "") as Uint8Array).toString());

export async function refused(call: Promise<unknown>, ...expected: readonly number[]): Promise<void> {
  const outcome = await call.then(
    () => "accepted",
    (error: unknown) => (error as { code?: number }).code,
  );
  expect(expected).toContain(outcome);
}

export async function until(condition: () => boolean, what: string, ms = 10_000): Promise<void> {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await sleep(20);
  }
}

export interface Pushed {
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

/** An endpoint on this machine that answers pushes with these statuses, the last one for good. */
export async function endpoint(...statuses: readonly number[]) {
  const pushed: Pushed[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      response.statusCode = statuses[Math.min(pushed.length, statuses.length - 1)] ?? 200;
      pushed.push({ headers: request.headers, body: Buffer.concat(chunks) });
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: `http://127.0.0.1:${address.port}/push`,
    pushed,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

export type Case = (c: Context) => Promise<void>;
export type Cases = Partial<Record<CapabilityId, Case>>;
