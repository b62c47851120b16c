import { createHash } from "node:crypto";

/** What can go wrong on purpose. The numbers are probabilities from 0 to 1, each per opportunity. */
export interface Faults {
  /** Decides, with the count of opportunities, what happens when: the same seed gives the same schedule. */
  readonly seed?: number;
  /** A message is handed out twice. Not with exactly-once delivery or an ordering key. */
  readonly duplicate?: number;
  /** A message changes its place with the next one. Not with an ordering key. */
  readonly reorder?: number;
  /** A message is held back for `delayMs`. Not with an ordering key. */
  readonly delay?: number;
  /** Milliseconds; 1,000 unless said. */
  readonly delayMs?: number;
  /** A message's deadline expires at once, whatever its consumer does to prolong it. */
  readonly expireDeadline?: number;
  /** An acknowledgement is answered with OK and forgotten; with exactly-once delivery, refused for the moment. */
  readonly loseAck?: number;
  /** A publish, pull, acknowledge or modify request is answered with UNAVAILABLE and not carried out. */
  readonly unavailable?: number;
  /** A streaming pull is reset after a response. */
  readonly resetStream?: number;
  /** After a publish request was answered, all connections break and the emulator starts anew from its log. */
  readonly restart?: number;
}

export const faultKinds = [
  "duplicate",
  "reorder",
  "delay",
  "expireDeadline",
  "loseAck",
  "unavailable",
  "resetStream",
  "restart",
] as const;

export type FaultKind = (typeof faultKinds)[number];

/** A fault that was asked for has struck. */
export interface FaultEvent {
  readonly fault: FaultKind;
  /** Which opportunity of this fault it was, counted from 1. */
  readonly opportunity: number;
}

const defaultDelayMs = 1_000;

/** Decides for each opportunity of a fault whether it happens. */
export class FaultSchedule {
  #faults: Faults = {};
  readonly #opportunities = new Map<FaultKind, number>();

  constructor(
    faults: Faults,
    readonly tell: (event: FaultEvent) => void = () => undefined,
  ) {
    this.set(faults);
  }

  /** Changes the probabilities and begins the schedule anew. Throws RangeError for what is no probability. */
  set(faults: Faults): void {
    for (const kind of faultKinds) {
      const probability = faults[kind] ?? 0;
      if (!(probability >= 0 && probability <= 1)) {
        throw new RangeError(`fault ${kind}: a probability is 0 to 1, not ${probability}`);
      }
    }
    if (faults.delayMs !== undefined && !(faults.delayMs >= 0)) throw new RangeError(`delayMs is not negative`);
    this.#faults = faults;
    this.#opportunities.clear();
  }

  get delayMs(): number {
    return this.#faults.delayMs ?? defaultDelayMs;
  }

  /** Whether the fault happens at this opportunity, its `n`-th: that depends on the seed, its kind and `n` alone. */
  strikes(kind: FaultKind): boolean {
    const probability = this.#faults[kind] ?? 0;
    if (probability === 0) return false;
    const n = (this.#opportunities.get(kind) ?? 0) + 1;
    this.#opportunities.set(kind, n);
    if (chance(this.#faults.seed ?? 0, kind, n) >= probability) return false;
    this.tell({ fault: kind, opportunity: n });
    return true;
  }
}

/** A number from 0 to 1 that its arguments determine. */
function chance(seed: number, kind: FaultKind, n: number): number {
  return createHash("sha256").update(`${seed}/${kind}/${n}`).digest().readUInt32BE(0) / 2 ** 32;
}
