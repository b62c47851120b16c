import { createHash } from "node:crypto";

/** A fault that was asked for has struck. */
export interface FaultEvent<Kind extends string = string> {
  readonly fault: Kind;
  /** Which opportunity of this fault it was, counted from 1. */
  readonly opportunity: number;
}

/** Probabilities from 0 to 1, each per opportunity, and a seed. */
export type Probabilities<Kind extends string> = Readonly<Partial<Record<Kind, number>>> & { readonly seed?: number };

/** Decides for each opportunity of a fault whether it happens: the same seed gives the same schedule. */
export class FaultSchedule<Kind extends string, Faults extends Probabilities<Kind>> {
  #faults: Faults;
  readonly #opportunities = new Map<Kind, number>();

  /** Throws RangeError for what is no probability. */
  constructor(
    readonly kinds: readonly Kind[],
    faults: Faults,
    readonly tell: (event: FaultEvent<Kind>) => void = () => undefined,
  ) {
    this.#faults = this.#checked(faults);
  }

  get faults(): Faults {
    return this.#faults;
  }

  /** Changes the probabilities and begins the schedule anew. Throws RangeError for what is no probability. */
  set(faults: Faults): void {
    this.#faults = this.#checked(faults);
    this.#opportunities.clear();
  }

  /** Whether the fault happens at this opportunity, its `n`-th: that depends on the seed, its kind and `n` alone. */
  strikes(kind: Kind): boolean {
    const probability = this.#faults[kind] ?? 0;
    if (probability === 0) return false;
    const n = (this.#opportunities.get(kind) ?? 0) + 1;
    this.#opportunities.set(kind, n);
    if (chance(this.#faults.seed ?? 0, kind, n) >= probability) return false;
    this.tell({ fault: kind, opportunity: n });
    return true;
  }

  #checked(faults: Faults): Faults {
    for (const kind of this.kinds) {
      const probability = faults[kind] ?? 0;
      if (!(probability >= 0 && probability <= 1)) {
        throw new RangeError(`fault ${kind}: a probability is 0 to 1, not ${probability}`);
      }
    }
    return faults;
  }
}

/** A number from 0 to 1 that its arguments determine. */
function chance(seed: number, kind: string, n: number): number {
  return createHash("sha256").update(`${seed}/${kind}/${n}`).digest().readUInt32BE(0) / 2 ** 32;
}
