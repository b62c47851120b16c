/**
 * Something that happened to a message, for tests that keep a ledger. Each "deliver" begins a lease, which ends by one of
 * "acknowledge" (all leases of the message at once), "give-back" (by its consumer), "deadline" (it expired) and "withdraw" (its
 * consumer left before it was sent, or an earlier message of its ordering key came back). "lose-acknowledge" ends none: the
 * consumer was told that it is acknowledged, by the fault `loseAck`, and it will come again.
 */
export interface PubSubEvent {
  readonly kind:
    "publish" | "deliver" | "acknowledge" | "lose-acknowledge" | "give-back" | "deadline" | "withdraw" | "dead-letter";
  /** The topic for publish, else the subscription. */
  readonly resource: string;
  readonly messageId: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Empty when it has none. */
  readonly orderingKey: string;
  /** Size of its data, in bytes. */
  readonly bytes: number;
}

export type Observe = (event: PubSubEvent) => void;
