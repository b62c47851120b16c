import type { Work } from "./work.js";

export interface OutgoingMessage {
  readonly element: string;
  readonly data: Uint8Array;
  readonly attributes: Readonly<Record<string, string>>;
  readonly orderingKey: string;
}

/** The service will never take this message. */
export class RejectedError extends Error {
  override readonly name = "RejectedError";
}

/** Where messages go. */
export interface Output {
  /** Resolves once the message is safe. Rejects with {@link RejectedError}, or when closed. */
  publish(message: OutgoingMessage, work: Work): Promise<unknown>;
  close(): void;
}
