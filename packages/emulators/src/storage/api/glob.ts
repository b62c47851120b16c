import { badRequest } from "../errors.js";

// https://cloud.google.com/storage/docs/json_api/v1/objects/list#list-objects-and-prefixes-using-glob
//   *  any characters but "/"      **  any characters      **/  any folders, or none
//   ?  a character but "/"         [a-z] [!a-z] [^a-z]  a character of a class, or not of it
//   {a,b}  one of these            \x  x itself

type Token =
  | { readonly kind: "character"; readonly text: string }
  | { readonly kind: "class"; readonly negated: boolean; readonly ranges: readonly (readonly [number, number])[] }
  | { readonly kind: "any" | "star" | "globstar" | "folders" };

type Alternatives = readonly Token[][];

/** Of a pattern, and of what its braces make of it. */
const maxCharacters = 1_024;
const maxTokens = 10_000;

/** Whether a name matches a pattern. Throws 400 for a malformed one. */
export function glob(pattern: string): (name: string) => boolean {
  const alternatives = new Parser(pattern).all();
  return (name) => {
    const characters = Array.from(name);
    return alternatives.some((tokens) => matches(tokens, characters));
  };
}

class Parser {
  readonly #characters: readonly string[];
  #at = 0;

  constructor(readonly pattern: string) {
    this.#characters = Array.from(pattern);
    if (this.#characters.length > maxCharacters) throw this.#malformed(`more than ${maxCharacters} characters`);
  }

  all(): Alternatives {
    const all = this.#sequence(false);
    if (this.#at < this.#characters.length) throw this.#malformed(`an unexpected "${this.#characters[this.#at]}"`);
    return all;
  }

  /** Up to the end or, within braces, up to "," or "}". */
  #sequence(inBraces: boolean): Alternatives {
    let all: Alternatives = [[]];
    let run: Token[] = [];
    const join = (pieces: Alternatives) => {
      const longest = (of: Alternatives) => of.reduce((most, tokens) => Math.max(most, tokens.length), 1);
      const tokens = all.length * pieces.length * (longest(all) + longest(pieces));
      if (tokens > maxTokens) throw this.#malformed(`alternatives of more than ${maxTokens} characters`);
      all = all.flatMap((before) => pieces.map((piece) => [...before, ...piece]));
    };
    for (;;) {
      const next = this.#characters[this.#at];
      const ends = next === undefined || next === "}" || (inBraces && next === ",");
      if (ends || next === "{") {
        join([run]);
        run = [];
      }
      if (ends) return all;
      if (next === "{") join(this.#braces());
      else run.push(this.#token(next));
    }
  }

  #braces(): Alternatives {
    const alternatives: Token[][] = [];
    do {
      this.#at += 1;
      alternatives.push(...this.#sequence(true));
    } while (this.#characters[this.#at] === ",");
    if (this.#characters[this.#at] !== "}") throw this.#malformed('a "{" without its "}"');
    this.#at += 1;
    return alternatives;
  }

  #token(next: string): Token {
    this.#at += 1;
    if (next === "?") return { kind: "any" };
    if (next === "[") return this.#class();
    if (next === "]") throw this.#malformed('a "]" without its "["');
    if (next === "\\") return { kind: "character", text: this.#escaped() };
    if (next !== "*") return { kind: "character", text: next };
    const begins = this.#at === 1 || this.#characters[this.#at - 2] === "/";
    let stars = 1;
    for (; this.#characters[this.#at] === "*"; this.#at += 1) stars += 1;
    if (stars === 1) return { kind: "star" };
    if (!begins || this.#characters[this.#at] !== "/") return { kind: "globstar" };
    this.#at += 1;
    return { kind: "folders" };
  }

  /** The character behind a backslash; at the end, the backslash itself. */
  #escaped(): string {
    const character = this.#characters[this.#at] ?? "\\";
    this.#at += 1;
    return character;
  }

  #class(): Token {
    const negated = this.#characters[this.#at] === "!" || this.#characters[this.#at] === "^";
    if (negated) this.#at += 1;
    const ranges: [number, number][] = [];
    while (this.#characters[this.#at] !== "]") {
      const low = this.#member();
      const isRange = this.#characters[this.#at] === "-" && this.#characters[this.#at + 1] !== "]";
      if (isRange) this.#at += 1;
      const high = isRange ? this.#member() : low;
      if (high < low) throw this.#malformed("a range whose end is before its beginning");
      ranges.push([low, high]);
    }
    this.#at += 1;
    if (ranges.length === 0) throw this.#malformed("an empty class");
    return { kind: "class", negated, ranges };
  }

  #member(): number {
    const character = this.#characters[this.#at];
    if (character === undefined) throw this.#malformed('a "[" without its "]"');
    this.#at += 1;
    return (character === "\\" ? this.#escaped() : character).codePointAt(0) ?? 0;
  }

  #malformed(what: string) {
    return badRequest(`matchGlob ${JSON.stringify(this.pattern)} has ${what}`);
  }
}

/** By the set of tokens that may come next: time grows with tokens × characters, whatever the pattern. */
function matches(tokens: readonly Token[], characters: readonly string[]): boolean {
  let states = reach(tokens, [0], true);
  for (const character of characters) {
    const next: number[] = [];
    for (const state of states) {
      const token = tokens[state];
      if (token === undefined) continue;
      const stays = token.kind === "star" ? character !== "/" : token.kind === "globstar" || token.kind === "folders";
      if (stays) next.push(state);
      else if (takes(token, character)) next.push(state + 1);
    }
    states = reach(tokens, next, character === "/");
    if (states.size === 0) return false;
  }
  return states.has(tokens.length);
}

/** Stars may stand for nothing; folders end behind a "/", or where there are none. */
function reach(tokens: readonly Token[], from: readonly number[], behindSlash: boolean): Set<number> {
  const states = new Set<number>();
  const queue = [...from];
  for (let state = queue.pop(); state !== undefined; state = queue.pop()) {
    if (states.has(state)) continue;
    states.add(state);
    const kind = tokens[state]?.kind;
    if (kind === "star" || kind === "globstar" || (kind === "folders" && behindSlash)) queue.push(state + 1);
  }
  return states;
}

function takes(token: Token, character: string): boolean {
  if (token.kind === "character") return token.text === character;
  if (character === "/") return false;
  if (token.kind !== "class") return token.kind === "any";
  const code = character.codePointAt(0) ?? 0;
  return token.ranges.some(([low, high]) => code >= low && code <= high) !== token.negated;
}
