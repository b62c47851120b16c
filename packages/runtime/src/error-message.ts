/** The message of whatever was thrown, which user code may have made of anything. */
export function messageOf(error: unknown): string {
  try {
    const thrown: unknown = error instanceof Error ? error.message : error;
    return String(thrown);
  } catch {
    return "what was thrown cannot be shown as text";
  }
}
