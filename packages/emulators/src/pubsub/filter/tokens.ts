import { invalidArgument } from "../errors.js";

export interface Token {
  readonly kind: "word" | "string" | "symbol";
  readonly text: string;
  /** What it stands for: of a string, its content. */
  readonly value: string;
  /** Offset in the filter, in UTF-16 units. */
  readonly at: number;
}

const token = /\s*(?:(?<word>[A-Za-z0-9_][A-Za-z0-9_-]*)|(?<string>"(?:[^"\\]|\\.)*")|(?<symbol>!=|[=:.,()-]))/suy;
const escape = /\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([0-7]{3})|(.))/gsu;
const shortEscapes: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  b: "\b",
  f: "\f",
  '"': '"',
  "'": "'",
  "\\": "\\",
  "/": "/",
};

/** Splits a filter. Throws INVALID_ARGUMENT at a character that belongs nowhere, and at a string without its end. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  token.lastIndex = 0;
  for (let at = 0; text.slice(at).trim() !== ""; at = token.lastIndex) {
    token.lastIndex = at;
    const { word, string, symbol } = token.exec(text)?.groups ?? {};
    const found = word ?? string ?? symbol;
    if (found === undefined) {
      const bad = at + (text.slice(at).length - text.slice(at).trimStart().length);
      const what = text[bad] === '"' ? "a string does not end" : "this character has no meaning";
      throw invalidArgument(`the filter is malformed at character ${bad + 1}: ${what}`);
    }
    const start = token.lastIndex - found.length;
    const kind = word !== undefined ? "word" : string !== undefined ? "string" : "symbol";
    tokens.push({ kind, text: found, value: kind === "string" ? unescape(found, start) : found, at: start });
  }
  return tokens;
}

function unescape(quoted: string, at: number): string {
  return quoted.slice(1, -1).replace(escape, (whole, hex, four, eight, octal, short, offset: number) => {
    const digits = (hex ?? four ?? eight) as string | undefined;
    const code = digits !== undefined ? parseInt(digits, 16) : octal !== undefined ? parseInt(octal as string, 8) : NaN;
    if (!Number.isNaN(code) && code <= 0x10ffff) return String.fromCodePoint(code);
    const known = short === undefined ? undefined : shortEscapes[short as string];
    if (known !== undefined) return known;
    throw invalidArgument(`the filter is malformed at character ${at + offset + 2}: ${whole} is no escape sequence`);
  });
}
