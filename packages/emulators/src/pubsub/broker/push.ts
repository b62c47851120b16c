import { equals } from "@bufbuild/protobuf";
import { type PushConfig, PushConfigSchema } from "../../../gen/google/pubsub/v1/pubsub_pb.js";
import type { Consumer, Delivery, Lease } from "./consumer.js";
import { pushRequest } from "./push-request.js";
import type { Subscription } from "./subscription.js";

/** Requests that one subscription has open at once. */
const maxOpen = 100;
// The back-off of a push subscription without a retry policy: https://cloud.google.com/pubsub/docs/push#push_backoff
const leastPauseMs = 100;
const mostPauseMs = 60_000;
/** Everything else gives the message back: https://cloud.google.com/pubsub/docs/push#receive_push */
const acknowledging = new Set([102, 200, 201, 202, 204]);

/** Sends the messages of push subscriptions to their endpoints. */
export class Pushers {
  readonly #pushers = new Map<Subscription, Pusher>();

  /** Begins, changes or ends pushing, as the subscription's configuration says now. */
  follow(subscription: Subscription): void {
    const config = subscription.resource.pushConfig;
    const before = this.#pushers.get(subscription);
    if (before !== undefined && config !== undefined && equals(PushConfigSchema, before.config, config)) return;
    this.leave(subscription);
    if (config === undefined || config.pushEndpoint === "" || subscription.resource.detached) return;
    const pusher = new Pusher(subscription, config);
    this.#pushers.set(subscription, pusher);
    subscription.attach(pusher);
  }

  leave(subscription: Subscription): void {
    this.#pushers.get(subscription)?.close();
    this.#pushers.delete(subscription);
  }

  close(): void {
    for (const pusher of this.#pushers.values()) pusher.close();
    this.#pushers.clear();
  }
}

class Pusher implements Consumer {
  readonly oneByOne = true;
  readonly #closed = new AbortController();
  readonly #open = new Set<Lease>();
  #failures = 0;
  #paused: NodeJS.Timeout | undefined;

  constructor(
    readonly subscription: Subscription,
    readonly config: PushConfig,
  ) {}

  get ackDeadlineSeconds(): number {
    return this.subscription.resource.ackDeadlineSeconds;
  }

  hasRoom(): boolean {
    return this.#paused === undefined && this.#open.size < maxOpen && !this.#closed.signal.aborted;
  }

  send(delivery: Delivery): void {
    this.#open.add(delivery.lease);
    void this.#post(delivery);
  }

  released(lease: Lease): void {
    this.#open.delete(lease);
  }

  end(): void {
    this.close();
  }

  close(): void {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort();
    clearTimeout(this.#paused);
    this.subscription.detach(this, []);
  }

  async #post(delivery: Delivery): Promise<void> {
    const accepted = await this.#accepts(delivery);
    if (this.#closed.signal.aborted) return;
    try {
      if (accepted) {
        this.#failures = 0;
        this.subscription.acknowledge([delivery.ackId]);
      } else {
        this.#pause();
        this.subscription.modifyDeadline([delivery.ackId], 0);
      }
    } catch (error) {
      this.subscription.around.warn((error as Error).message); // it is pushed again after its deadline
    }
  }

  async #accepts(delivery: Delivery): Promise<boolean> {
    const deadline = AbortSignal.timeout(this.ackDeadlineSeconds * 1_000);
    try {
      const { url, ...request } = pushRequest(this.config, this.subscription.resource.name, delivery);
      const response = await fetch(url, {
        ...request,
        redirect: "manual",
        signal: AbortSignal.any([deadline, this.#closed.signal]),
      });
      await response.body?.cancel();
      return acknowledging.has(response.status);
    } catch {
      return false; // refused, broken off, or without an answer within the deadline
    }
  }

  /** A retry policy holds back messages one by one; without one, the endpoint as a whole is left alone for a while. */
  #pause(): void {
    if (this.#paused !== undefined || this.subscription.resource.retryPolicy !== undefined) return;
    const ms = Math.min(mostPauseMs, leastPauseMs * 2 ** Math.min(this.#failures, 20));
    this.#failures += 1; // of those that were open at once, the first alone counts
    this.#paused = setTimeout(() => {
      this.#paused = undefined;
      this.subscription.dispatch();
    }, ms);
    this.#paused.unref();
  }
}
