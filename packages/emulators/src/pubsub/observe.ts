/** Something that happened to a message, for tests that keep a ledger. */
export interface PubSubEvent {
  readonly kind: "publish" | "deliver" | "acknowledge" | "give-back" | "dead-letter";
  /** The topic for publish, else the subscription. */
  readonly resource: string;
  readonly messageId: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export type Observe = (event: PubSubEvent) => void;
