import type { Consumer, Delivery, Lease } from "../broker/consumer.js";
import type { Subscription } from "../broker/subscription.js";

/** What one response holds at most, in bytes; a larger message comes alone. */
const maxBytes = 8 * 1024 * 1024;

/** One pull: takes what comes first, and leaves. */
class Pull implements Consumer {
  readonly hurried = true;
  readonly deliveries: Delivery[] = [];
  #bytes = 0;
  #wake: (() => void) | undefined;
  #over = false;

  constructor(
    readonly ackDeadlineSeconds: number,
    readonly max: number,
  ) {}

  hasRoom(bytes: number): boolean {
    if (this.#over || this.deliveries.length >= this.max) return false;
    return this.deliveries.length === 0 || this.#bytes + bytes <= maxBytes;
  }

  send(delivery: Delivery): void {
    this.deliveries.push(delivery);
    this.#bytes += delivery.lease.entry.bytes;
    this.#wake?.();
  }

  released(lease: Lease): void {
    const at = this.deliveries.findIndex((d) => d.lease === lease);
    if (at >= 0) this.deliveries.splice(at, 1);
  }

  end(): void {
    this.#over = true;
    this.#wake?.();
  }

  /** Waits for the first message, or for the time or the client to end it. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (this.deliveries.length > 0 || ms === 0 || this.#over || signal.aborted) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, ms);
      signal.addEventListener("abort", this.#wake, { once: true });
    });
    clearTimeout(timer);
  }
}

/**
 * Up to `max` messages, waiting up to `waitMs` for the first. Throws when the subscription is deleted or detached meanwhile.
 */
export async function pullOnce(
  subscription: Subscription,
  max: number,
  waitMs: number,
  signal: AbortSignal,
): Promise<readonly Delivery[]> {
  const pull = new Pull(subscription.resource.ackDeadlineSeconds, max);
  subscription.attach(pull);
  await pull.wait(waitMs, signal);
  const deliveries = [...pull.deliveries];
  const unsent = signal.aborted ? deliveries.map((d) => d.lease) : [];
  subscription.detach(pull, unsent);
  if (subscription.ended !== undefined) throw subscription.ended;
  return signal.aborted ? [] : deliveries;
}
