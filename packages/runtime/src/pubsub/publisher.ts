import { setTimeout as sleep } from "node:timers/promises";
import type { PublisherClient } from "@google-cloud/pubsub/build/src/v1/index.js";
import { type OutgoingMessage, type Output, RejectedError } from "../supervisor/output.js";
import { messageOf } from "../error-message.js";
import { Status, statusOf, triedOnce } from "./clients.js";

interface Pending {
  readonly message: OutgoingMessage;
  readonly resolve: (id: string) => void;
  readonly reject: (error: unknown) => void;
}

// Limits of a publish request: https://cloud.google.com/pubsub/quotas#resource_limits
const maxMessages = 1_000;
const maxBytes = 9_000_000;
/** How long a request waits for company, in milliseconds, unless it has so many messages. */
const batchMs = 10;
const enoughMessages = 100;
const firstDelayMs = 100;
const longestDelayMs = 2_000;

/**
 * Publishes to one topic. While a request is on its way the next messages gather behind it; those of each ordering key by themselves,
 * because a request that has several is refused (google/pubsub/v1/pubsub.proto, PublishRequest).
 */
export class Publisher implements Output {
  /** By ordering key; a key that is here has a request on its way, or is about to. */
  readonly #waiting = new Map<string, Pending[]>();
  #closed = false;
  /** A failure was told of whose next try is still to come: an outage fails the batches of all keys. */
  #told = false;

  constructor(
    readonly client: PublisherClient,
    readonly topic: string,
    readonly onTrouble: (error: unknown, delayMs: number) => void,
  ) {}

  /** Resolves to the message's id once the service has confirmed it. Rejects with {@link RejectedError}, or when closed. */
  publish(message: OutgoingMessage): Promise<string> {
    const { orderingKey } = message;
    return new Promise((resolve, reject) => {
      const pending = { message, resolve, reject };
      const waiting = this.#waiting.get(orderingKey);
      if (waiting !== undefined) {
        waiting.push(pending);
        return;
      }
      const own = [pending];
      this.#waiting.set(orderingKey, own);
      void this.#sendAll(orderingKey, own);
    });
  }

  close(): void {
    this.#closed = true;
  }

  async #sendAll(key: string, waiting: Pending[]): Promise<void> {
    while (waiting.length > 0) {
      if (waiting.length < enoughMessages) await sleep(batchMs);
      await this.#send(nextBatch(waiting));
    }
    this.#waiting.delete(key);
  }

  async #send(batch: readonly Pending[]): Promise<void> {
    for (let delayMs = firstDelayMs; ; delayMs = Math.min(delayMs * 2, longestDelayMs)) {
      try {
        const messages = batch.map(({ message: { data, attributes, orderingKey } }) => ({
          data,
          attributes,
          orderingKey,
        }));
        // The client would gather messages too, but whatever their keys, and one that is refused would fail all.
        const options = { ...triedOnce(), isBundling: false };
        const [response] = await this.client.publish({ topic: this.topic, messages }, options);
        batch.forEach((p, i) => {
          p.resolve(response.messageIds?.[i] ?? "");
        });
        return;
      } catch (error) {
        if (statusOf(error) === Status.invalidArgument) {
          await this.#rejected(batch, error);
          return;
        }
        if (this.#closed) {
          for (const p of batch) p.reject(error);
          return;
        }
        await this.#pause(error, delayMs);
      }
    }
  }

  async #pause(error: unknown, delayMs: number): Promise<void> {
    const tells = !this.#told;
    if (tells) {
      this.#told = true;
      this.onTrouble(new Error(`publishing to ${this.topic}: ${messageOf(error)}`), delayMs);
    }
    await sleep(delayMs);
    if (tells) this.#told = false;
  }

  /** One bad message fails its whole request: sent one by one, only the bad ones fail. */
  async #rejected(batch: readonly Pending[], error: unknown): Promise<void> {
    if (batch.length === 1) batch[0]?.reject(new RejectedError(messageOf(error)));
    else for (const pending of batch) await this.#send([pending]);
  }
}

function nextBatch(waiting: Pending[]): Pending[] {
  let bytes = 0;
  let count = 0;
  for (const { message } of waiting) {
    bytes += message.data.length + 2_000; // attributes and framing
    if (count > 0 && (bytes > maxBytes || count === maxMessages)) break;
    count += 1;
  }
  return waiting.splice(0, count);
}
