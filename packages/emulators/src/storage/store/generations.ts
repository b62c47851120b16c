import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Microseconds that are reserved at a time, so that the file is written once a minute. */
const reserve = 60_000_000n;

/**
 * Generations: microseconds of the clock, but never one that was given before, also when the clock was put back while the
 * emulator did not run.
 */
export class Generations {
  readonly #path: string;
  #last: bigint;
  #reserved: bigint;

  constructor(folder: string) {
    this.#path = join(folder, "generation");
    this.#last = this.#read();
    this.#reserved = this.#last;
  }

  next(): string {
    const now = BigInt(Date.now()) * 1_000n;
    this.#last = now > this.#last ? now : this.#last + 1n;
    if (this.#last > this.#reserved) {
      this.#reserved = this.#last + reserve;
      writeFileSync(`${this.#path}.new`, this.#reserved.toString());
      renameSync(`${this.#path}.new`, this.#path);
    }
    return this.#last.toString();
  }

  #read(): bigint {
    try {
      return BigInt(readFileSync(this.#path, "utf8"));
    } catch {
      return 0n;
    }
  }
}
