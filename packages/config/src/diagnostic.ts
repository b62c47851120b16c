/** One problem of a configuration, with its place. */
export interface Diagnostic {
  readonly severity: "error" | "warning";
  /** Stable; listed in docs/reference/errors.md. */
  readonly code: string;
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
  /** As the user named it. */
  readonly file: string;
  /** From 1. Absent for what is not in the file, e.g. an override. */
  readonly line?: number;
  readonly column?: number;
  /** Dotted path in the configuration, e.g. `job_config.events.inputs.0.topic`. */
  readonly path: string;
}

/** `file:line:column: error CODE: message (hint)`, the form editors and terminals make clickable. */
export function formatDiagnostic(d: Diagnostic): string {
  const place = d.line === undefined ? d.file : `${d.file}:${d.line}:${d.column ?? 1}`;
  const hint = d.hint === undefined ? "" : `\n    ${d.hint}`;
  return `${place}: ${d.severity} ${d.code}: ${d.message}${hint}`;
}
