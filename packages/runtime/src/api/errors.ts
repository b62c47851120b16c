/**
 * An error that no further attempt will mend: the message becomes a dead letter at once.
 * `code` is a short stable word for whoever sorts dead letters (attribute `klio-dead-letter-code`). Default: `PERMANENT`.
 */
export class PermanentError extends Error {
  /** User code and worker each have a copy of this class: instances of either are instances of both. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return this === PermanentError ? isPermanent(value) : Function.prototype[Symbol.hasInstance].call(this, value);
  }

  override readonly name: string = "PermanentError";
  readonly permanent = true;
  readonly code: string;

  constructor(message: string, options: { readonly code?: string; readonly cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.code = options.code ?? "PERMANENT";
  }
}

/** The object an item names does not exist in the data input. Its code is `INPUT_NOT_FOUND`. */
export class InputNotFoundError extends PermanentError {
  static override [Symbol.hasInstance](value: unknown): boolean {
    return isPermanent(value) && value.name === "InputNotFoundError";
  }

  override readonly name = "InputNotFoundError";

  /** `uri`: `gs://bucket/name`, or a file's path. */
  constructor(readonly uri: string) {
    super(`the input object does not exist: ${uri}`, { code: "INPUT_NOT_FOUND" });
  }
}

/** Whether an error says of itself that it is permanent; it may come from another copy of this module. */
export function isPermanent(error: unknown): error is PermanentError {
  return error instanceof Error && "permanent" in error && error.permanent === true;
}
