/** A problem that the user can mend: shown without a stack trace. */
export class KlioError extends Error {
  override readonly name = "KlioError";
  /** Stable; listed in docs/reference/errors.md. */
  readonly code: string;
  /** What to do, if possible as a command to paste. */
  readonly hint: string | undefined;
  /** Single problems, each with its place: `file:line:column: …`. */
  readonly details: readonly string[];
  /** What the command ends with. */
  readonly exitCode: number;
  /** What `--json` shows besides code and message. */
  readonly data: Readonly<Record<string, unknown>>;

  constructor(
    code: string,
    message: string,
    options: {
      readonly hint?: string;
      readonly details?: readonly string[];
      readonly data?: Readonly<Record<string, unknown>>;
      readonly exitCode?: number;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.details = options.details ?? [];
    this.exitCode = options.exitCode ?? 1;
    this.data = options.data ?? {};
  }
}
