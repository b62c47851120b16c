import { Running } from "./running.js";

/** One call of a transform's `process`, and its tries one after the other. What a try has begun ends with it. */
export class UserCall {
  /** Counts its own tries. */
  attempt = 1;
  #state: "running" | "failed" | "returned" = "running";
  // Made when they are asked for: few calls begin anything.
  #ended: AbortController | undefined;
  #uploads: Running | undefined;
  #programs: Running | undefined;

  /** Aborts when the try is over. */
  get signal(): AbortSignal {
    if (this.#ended === undefined) {
      this.#ended = new AbortController();
      if (this.#state !== "running") this.#ended.abort(callIsOver());
    }
    return this.#ended.signal;
  }

  /** Undefined once the call has returned: what it goes on to upload then is the attempt's, as what it has not awaited. */
  get uploadSignal(): AbortSignal | undefined {
    return this.#state === "returned" ? undefined : this.signal;
  }

  addUpload(work: Promise<unknown>): void {
    (this.#uploads ??= new Running()).add(work);
  }

  addProgram(work: Promise<unknown>): void {
    (this.#programs ??= new Running()).add(work);
  }

  /** Ends what the try has begun. Resolves when nothing of it is left that the next one could meet. */
  async failed(): Promise<void> {
    this.#state = "failed";
    this.#ended?.abort(callIsOver());
    await this.#uploads?.ended();
    await this.#programs?.ended();
  }

  nextTry(): void {
    this.attempt += 1;
    this.#state = "running";
    this.#ended = undefined;
  }

  /** Ends the programs that it has left running, but not under an upload that nobody awaited: that is to become whole. */
  returned(): void {
    this.#state = "returned";
    const ended = this.#ended;
    if (ended === undefined) return;
    const end = () => {
      ended.abort(callIsOver());
    };
    if (this.#uploads === undefined) end();
    else void this.#uploads.ended().then(end);
  }
}

function callIsOver(): Error {
  return new Error("the call is over");
}
