/** An output message. */
export interface Described {
  readonly element: string;
  readonly payload: Uint8Array;
  /** The payload as text. */
  readonly text: string;
  /** Attribute `klio-id`. */
  readonly klioId: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** That of the input; empty when it has none. */
  readonly orderingKey: string;
}
