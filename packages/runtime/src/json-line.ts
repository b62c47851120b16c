/**
 * A value as one line of JSON. U+2028 and U+2029 are escaped: they are legal in JSON, and line ends for whoever splits text by
 * Unicode's rules, as Node's readline does from version 24 on.
 */
export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029")}\n`;
}
