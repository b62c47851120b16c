import { randomBytes } from "node:crypto";
import type { Consumer, Entry, Lease } from "./consumer.js";
import { Due } from "./due.js";

/** The leases of one subscription, by ack id. */
export class Leases {
  /** In every ack id, so that one from before a restart, or of another subscription, means nothing here. */
  readonly #incarnation = randomBytes(9).toString("base64url");
  readonly #leases = new Map<number, Lease>();
  readonly #deadlines = new Due<Lease>();
  #last = 0;

  add(entry: Entry, consumer: Consumer, doomed: boolean, now: number): Lease {
    this.#last += 1;
    const lease = { number: this.#last, entry, consumer, doomed };
    this.#leases.set(lease.number, lease);
    this.#deadlines.set(lease, doomed ? now : now + consumer.ackDeadlineSeconds * 1_000);
    entry.leases.add(lease);
    return lease;
  }

  ackId(lease: Lease): string {
    return `${this.#incarnation}:${lease.number}`;
  }

  /** Undefined when the lease is over, or never was. */
  find(ackId: string): Lease | undefined {
    const colon = ackId.indexOf(":");
    if (colon < 0 || ackId.slice(0, colon) !== this.#incarnation) return undefined;
    return this.#leases.get(Number(ackId.slice(colon + 1)));
  }

  extend(lease: Lease, until: number): void {
    if (!lease.doomed) this.#deadlines.set(lease, until);
  }

  /** Ends a lease and tells its consumer. False when it was over already. */
  release(lease: Lease): boolean {
    if (!this.#leases.delete(lease.number)) return false;
    this.#deadlines.delete(lease);
    lease.entry.leases.delete(lease);
    lease.consumer.released(lease);
    return true;
  }

  releaseAll(): void {
    for (const lease of [...this.#leases.values()]) this.release(lease);
  }

  /** Those whose deadline has passed; they go on until released. */
  takeExpired(now: number): Lease[] {
    return this.#deadlines.takeDue(now);
  }
}
