import type { SubscriberClient } from "@google-cloud/pubsub/build/src/v1/index.js";
import { failedIds, maxIdsPerRequest, Status, statusOf, triedOnce } from "./clients.js";

/** Acknowledgements that go in one request. */
interface Batch {
  readonly ids: string[];
  readonly done: Promise<void>;
}

const firstDelayMs = 100;
const longestDelayMs = 2_000;
/** Tries to acknowledge; they take about half a minute. */
const tries = 16;
/** How long acknowledgements wait for company, in milliseconds. */
const batchMs = 5;

/** Acknowledges the messages of one subscription, many in one request. */
export class Acknowledger {
  #batch: Batch | undefined;

  constructor(
    readonly client: SubscriberClient,
    readonly subscription: string,
  ) {}

  /** Resolves when the service has confirmed it, or cannot: then the message comes again. Never rejects. */
  acknowledge(ackId: string): Promise<void> {
    if (this.#batch === undefined || this.#batch.ids.length >= maxIdsPerRequest) this.#batch = this.#gather();
    this.#batch.ids.push(ackId);
    return this.#batch.done;
  }

  #gather(): Batch {
    const ids: string[] = [];
    return { ids, done: this.#send(ids) };
  }

  async #send(ids: string[]): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, batchMs));
    if (this.#batch?.ids === ids) this.#batch = undefined;
    let ackIds = ids;
    for (let attempt = 1; attempt <= tries; attempt += 1) {
      try {
        await this.client.acknowledge({ subscription: this.subscription, ackIds }, triedOnce());
        return;
      } catch (error) {
        const failed = failedIds(error);
        if (failed !== undefined) ackIds = ackIds.filter((id) => failed.get(id) === "later");
        // What is not acknowledged is delivered again, and known as done by its id.
        if (ackIds.length === 0 || statusOf(error) === Status.notFound || attempt === tries) return;
        const delayMs = Math.min(firstDelayMs * 2 ** attempt, longestDelayMs);
        await new Promise((resolve) => setTimeout(resolve, delayMs));
      }
    }
  }
}
