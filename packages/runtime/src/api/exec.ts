/** How a program is run. */
export interface ExecOptions {
  /** What the program reads from its standard input. Default: nothing. */
  readonly input?: Uint8Array | string | AsyncIterable<Uint8Array>;
  /** Working directory. Default: the worker's. */
  readonly cwd?: string;
  /** Environment variables besides the worker's. `KLIO_PROGRAM` is added, by which the program's processes are found. */
  readonly env?: Readonly<Record<string, string>>;
  /** Bytes that it may put out, on standard output and on standard error each. Default: 64 MiB. */
  readonly maxBytes?: number;
}

/** What a program put out that ended with exit code 0. */
export interface ExecResult {
  readonly stdout: Uint8Array;
  /** As text. */
  readonly stderr: string;
}

/** A program that failed. The message has the command, how it ended, and the end of what it wrote to standard error. */
export class ExecError extends Error {
  override readonly name = "ExecError";
  readonly code = "EXEC";

  constructor(
    message: string,
    /** Absent when a signal ended it, or when it could not be started. */
    readonly exitCode: number | undefined,
    /** What it wrote to standard error. */
    readonly stderr: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
