/** An output message. */
export interface Described {
  readonly element: string;
  readonly payload: Uint8Array;
  /** The payload as text. */
  readonly text: string;
  readonly klioId: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly orderingKey: string;
}
