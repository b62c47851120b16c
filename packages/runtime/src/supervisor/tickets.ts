import type { Limits } from "../limits.js";
import { ProtocolError } from "../protocol/frames.js";

/** The places in limits that one worker has asked for or has. */
export class Tickets {
  readonly #tickets = new Map<number, { stop: AbortController; release: (() => void) | undefined }>();

  constructor(
    readonly limits: Limits,
    readonly grant: (ticket: number) => void,
  ) {}

  /** Throws a ProtocolError for a ticket that is in use: the place it has would never be free again. */
  acquire(ticket: number, limit: string, size: number): void {
    if (this.#tickets.has(ticket)) throw new ProtocolError(`ticket ${ticket} is in use`);
    const held = { stop: new AbortController(), release: undefined as (() => void) | undefined };
    this.#tickets.set(ticket, held);
    this.limits.acquire(limit, size, held.stop.signal).then(
      (release) => {
        held.release = release;
        if (held.stop.signal.aborted) release();
        else this.grant(ticket);
      },
      () => undefined, // taken back
    );
  }

  release(ticket: number): void {
    const held = this.#tickets.get(ticket);
    this.#tickets.delete(ticket);
    held?.stop.abort();
    held?.release?.();
  }

  /** The worker is gone: all it had is free. */
  close(): void {
    for (const ticket of [...this.#tickets.keys()]) this.release(ticket);
  }
}
