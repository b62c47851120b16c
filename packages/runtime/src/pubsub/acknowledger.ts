import type { SubscriberClient } from "@google-cloud/pubsub/build/src/v1/index.js";
import { Status, statusOf, triedOnce } from "./clients.js";

/** Acknowledgements that go in one request. */
interface Batch {
  readonly ids: string[];
  /** Size of their messages. */
  bytes: number;
  readonly done: Promise<void>;
}

const firstDelayMs = 100;
const longestDelayMs = 2_000;
const maxIdsPerRequest = 1_000;
/** Tries to acknowledge; they take about half a minute. */
const tries = 16;
/** How long acknowledgements wait for company, in milliseconds. */
const batchMs = 5;

/** Acknowledges the messages of one subscription, many in one request. */
export class Acknowledger {
  /** Acknowledged, and not confirmed yet: the service counts them as outstanding. */
  unconfirmed = 0;
  unconfirmedBytes = 0;
  #batch: Batch | undefined;

  constructor(
    readonly client: SubscriberClient,
    readonly subscription: string,
    /** Some were confirmed, or given up. */
    readonly onConfirmed: () => void,
  ) {}

  /** Resolves when the service has confirmed it, or cannot: then the message comes again. */
  acknowledge(ackId: string, bytes: number): Promise<void> {
    if (this.#batch === undefined || this.#batch.ids.length >= maxIdsPerRequest) this.#batch = this.#gather();
    this.#batch.ids.push(ackId);
    this.#batch.bytes += bytes;
    this.unconfirmed += 1;
    this.unconfirmedBytes += bytes;
    return this.#batch.done;
  }

  #gather(): Batch {
    const ids: string[] = [];
    const batch: Batch = { ids, bytes: 0, done: this.#send(ids) };
    void batch.done.then(() => {
      this.unconfirmed -= ids.length;
      this.unconfirmedBytes -= batch.bytes;
      this.onConfirmed();
    });
    return batch;
  }

  async #send(ids: string[]): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, batchMs));
    if (this.#batch?.ids === ids) this.#batch = undefined;
    const request = { subscription: this.subscription, ackIds: ids };
    for (let attempt = 1; attempt <= tries; attempt += 1) {
      try {
        await this.client.acknowledge(request, triedOnce);
        return;
      } catch (error) {
        if (statusOf(error) === Status.notFound || attempt === tries) return; // delivered again, and known as done by its id
        const delayMs = Math.min(firstDelayMs * 2 ** attempt, longestDelayMs);
        await new Promise((resolve) => setTimeout(resolve, delayMs));
      }
    }
  }
}
