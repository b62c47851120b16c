import type { Clock } from "../clock.js";

export interface PauseOptions {
  /** Different messages that fail in a row; 0: never. */
  readonly after: number;
  readonly clock: Clock;
  /** The job pauses. */
  readonly onPause: (failed: number) => void;
  /** One message may be tried. */
  readonly onTrial: () => void;
  readonly onResume: () => void;
}

const firstTrialMs = 5_000;
const longestTrialMs = 60_000;

/**
 * Pauses the job when everything fails: what fails then is hardly the messages' fault, and none of them shall become a dead
 * letter for it. One success ends the pause.
 */
export class Pause {
  readonly #failing = new Set<string>();
  #paused = false;
  #delayMs = firstTrialMs;
  #callOff: () => void = () => undefined;

  constructor(readonly options: PauseOptions) {}

  get paused(): boolean {
    return this.#paused;
  }

  /** User code came to its end with a message. */
  succeeded(): void {
    this.#failing.clear();
    if (!this.#paused) return;
    this.close();
    this.#paused = false;
    this.#delayMs = firstTrialMs;
    this.options.onResume();
  }

  /** A message failed. Whether that may be charged. */
  failed(identity: string): boolean {
    const { after, onPause } = this.options;
    if (this.#paused) return false;
    if (after === 0) return true;
    this.#failing.add(identity);
    if (this.#failing.size < after) return true;
    this.#paused = true;
    onPause(this.#failing.size);
    this.#waitForTrial();
    return false;
  }

  close(): void {
    this.#callOff();
  }

  #waitForTrial(): void {
    this.#callOff = this.options.clock.after(this.#delayMs, () => {
      this.#delayMs = Math.min(this.#delayMs * 2, longestTrialMs);
      this.options.onTrial();
      this.#waitForTrial();
    });
  }
}
