import type { Lease } from "./source.js";
import type { Work } from "./work.js";

/** The messages in hand, found by identity and by lease. */
export class InHand {
  readonly #byIdentity = new Map<string, Work>();
  readonly #byLease = new Map<Lease, Work>();

  readonly #whenEmpty = new Set<() => void>();

  get size(): number {
    return this.#byIdentity.size;
  }

  /** Resolves once nothing is in hand. */
  empty(): Promise<void> {
    if (this.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenEmpty.add(resolve));
  }

  all(): Work[] {
    return [...this.#byIdentity.values()];
  }

  has(work: Work): boolean {
    return this.#byIdentity.get(work.identity) === work;
  }

  /**
   * Takes a message in. If it is in hand already, only its new lease is: the work on it goes on, and undefined is returned.
   */
  take(work: Work): Work | undefined {
    const twin = this.#byIdentity.get(work.identity);
    const owner = twin ?? work;
    for (const lease of work.leases) this.#byLease.set(lease, owner);
    if (twin !== undefined) {
      twin.leases.push(...work.leases);
      return undefined;
    }
    this.#byIdentity.set(work.identity, work);
    return work;
  }

  ownerOf(lease: Lease): Work | undefined {
    return this.#byLease.get(lease);
  }

  /** Takes the leases off a message, to be acknowledged or given back. */
  takeLeases(work: Work): Lease[] {
    const leases = work.leases.splice(0);
    for (const lease of leases) this.#byLease.delete(lease);
    return leases;
  }

  remove(work: Work): void {
    this.takeLeases(work);
    if (this.has(work)) this.#byIdentity.delete(work.identity);
    if (this.size > 0) return;
    for (const tell of this.#whenEmpty) tell();
    this.#whenEmpty.clear();
  }
}
