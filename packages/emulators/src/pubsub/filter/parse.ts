import { invalidArgument } from "../errors.js";
import { type Token, tokenize } from "./tokens.js";

export type Expression =
  | { readonly kind: "has"; readonly key: string }
  | { readonly kind: "equals" | "prefix"; readonly key: string; readonly value: string }
  | { readonly kind: "not"; readonly of: Expression }
  | { readonly kind: "and" | "or"; readonly of: readonly Expression[] };

/**
 * expression = term { AND term } | term { OR term }      AND and OR are mixed only with parentheses
 * term       = ( NOT | - ) term | ( expression ) | test
 * test       = attributes : key | attributes . key ( = | != ) string | hasPrefix ( attributes . key , string )
 *
 * Throws INVALID_ARGUMENT with the place of what is wrong.
 */
export function parseFilter(text: string): Expression {
  const parser = new Parser(tokenize(text));
  const expression = parser.expression();
  parser.expectEnd();
  return expression;
}

class Parser {
  #at = 0;

  constructor(readonly tokens: readonly Token[]) {}

  expression(): Expression {
    const terms = [this.#term()];
    const word = this.#peekWord();
    if (word !== "AND" && word !== "OR") return terms[0] as Expression;
    while (this.#peekWord() === word) {
      this.#at += 1;
      terms.push(this.#term());
    }
    const other = this.#peekWord();
    if (other === "AND" || other === "OR") {
      throw this.#wrong(`${word} and ${other} stand beside each other: say with parentheses which comes first`);
    }
    return { kind: word === "AND" ? "and" : "or", of: terms };
  }

  expectEnd(): void {
    if (this.#peek() !== undefined) throw this.#wrong("this does not belong there");
  }

  #term(): Expression {
    if (this.#peekWord() === "NOT" || this.#peek()?.text === "-") {
      this.#at += 1;
      return { kind: "not", of: this.#term() };
    }
    if (this.#isSymbol("(")) {
      this.#at += 1;
      const inner = this.expression();
      this.#symbol(")");
      return inner;
    }
    return this.#test();
  }

  #test(): Expression {
    const word = this.#peekWord();
    if (word === "hasPrefix") return this.#hasPrefix();
    if (word !== "attributes") throw this.#wrong("expected attributes, hasPrefix, NOT, - or (");
    this.#at += 1;
    if (this.#isSymbol(":")) {
      this.#at += 1;
      return { kind: "has", key: this.#key() };
    }
    this.#symbol(".");
    const key = this.#key();
    const negated = this.#isSymbol("!=");
    if (!negated && !this.#isSymbol("=")) throw this.#wrong("expected = or !=");
    this.#at += 1;
    const equals: Expression = { kind: "equals", key, value: this.#string() };
    return negated ? { kind: "not", of: equals } : equals;
  }

  #hasPrefix(): Expression {
    this.#at += 1;
    this.#symbol("(");
    if (this.#peekWord() !== "attributes") throw this.#wrong("expected attributes");
    this.#at += 1;
    this.#symbol(".");
    const key = this.#key();
    this.#symbol(",");
    const value = this.#string();
    this.#symbol(")");
    return { kind: "prefix", key, value };
  }

  #key(): string {
    const token = this.#peek();
    if (token?.kind !== "word" && token?.kind !== "string") throw this.#wrong("expected the key of an attribute");
    this.#at += 1;
    return token.value;
  }

  #string(): string {
    const token = this.#peek();
    if (token?.kind !== "string") throw this.#wrong("expected a string in quotation marks");
    this.#at += 1;
    return token.value;
  }

  #symbol(symbol: string): void {
    if (!this.#isSymbol(symbol)) throw this.#wrong(`expected ${symbol}`);
    this.#at += 1;
  }

  #isSymbol(symbol: string): boolean {
    const token = this.#peek();
    return token?.kind === "symbol" && token.text === symbol;
  }

  #peekWord(): string | undefined {
    const token = this.#peek();
    return token?.kind === "word" ? token.text : undefined;
  }

  #peek(): Token | undefined {
    return this.tokens[this.#at];
  }

  #wrong(what: string): Error {
    const token = this.#peek();
    const place = token === undefined ? "at its end" : `at character ${token.at + 1} ("${token.text}")`;
    return invalidArgument(`the filter is malformed ${place}: ${what}`);
  }
}
