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
  #closed = false;
  #delayMs = firstTrialMs;
  #callOff: () => void = () => undefined;

  constructor(readonly options: PauseOptions) {}

  get paused(): boolean {
    return this.#paused;
  }

  /** User code came to its end with a message. */
  succeeded(): void {
    this.#failing.clear();
    if (!this.#paused || this.#closed) return;
    this.#callOff();
    this.#paused = false;
    this.#delayMs = firstTrialMs;
    this.options.onResume();
  }

  /** A message came to its end in a way that says nothing of whether others would fail: the next may be tried at once. */
  undecided(): void {
    if (this.#paused && !this.#closed) this.options.onTrial();
  }

  /** A message failed. Whether that may be charged. */
  failed(identity: string): boolean {
    const { after, onPause } = this.options;
    if (this.#paused) return false;
    if (after === 0 || this.#closed) return true;
    this.#failing.add(identity);
    if (this.#failing.size < after) return true;
    this.#paused = true;
    onPause(this.#failing.size);
    this.#waitForTrial();
    return false;
  }

  /** The job stops: whether it pauses does not change any more. */
  close(): void {
    this.#closed = true;
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
