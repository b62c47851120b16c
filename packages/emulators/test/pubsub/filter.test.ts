import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compileFilter } from "../../src/pubsub/filter/filter.js";

const passes = (filter: string, attributes: Record<string, string>) => compileFilter(filter)(attributes);

describe("a filter", () => {
  it.each([
    ["attributes:a", { a: "" }, true],
    ["attributes:a", {}, false],
    ['attributes.a = "x"', { a: "x" }, true],
    ['attributes.a = "x"', { a: "X" }, false],
    ['attributes.a != "x"', {}, true],
    ['hasPrefix(attributes.a, "x")', { a: "xy" }, true],
    ['hasPrefix(attributes.a, "x")', {}, false],
    ["NOT attributes:a", {}, true],
    ["-attributes:a", { a: "" }, false],
    ["NOT -attributes:a", { a: "" }, true],
    ["attributes:a AND attributes:b AND attributes:c", { a: "", b: "", c: "" }, true],
    ["attributes:a OR attributes:b", { b: "" }, true],
    ["attributes:a AND (attributes:b OR attributes:c)", { a: "", c: "" }, true],
    ["NOT (attributes:a OR attributes:b)", { b: "" }, false],
    ['attributes."a b/c" = "x"', { "a b/c": "x" }, true],
    ["attributes:a-b_1", { "a-b_1": "" }, true],
    ['attributes.a="x"', { a: "x" }, true],
    ['  attributes . a  =  "x"  ', { a: "x" }, true],
    ['attributes.a = "\\"\\\\\\n\\x41\\u00e9\\101"', { a: '"\\\nAéA' }, true],
    ["attributes:toString", {}, false],
    ['attributes.__proto__ = "x"', {}, false],
  ] as const)("%s of %o is %s", (filter, attributes, expected) => {
    expect(passes(filter, attributes)).toBe(expected);
  });

  it.each([
    ["attributes", "at its end"],
    ["attributes.a ~ x", "at character 14"],
    ["attributes:a AND", "at its end"],
    ["attributes:a AND attributes:b OR attributes:c", "at character 31"],
    ["and", "at character 1"],
    ['attributes.a = "x', "at character 16"],
    ["attributes.a = x", "at character 16"],
    ['attributes.a = "\\q"', "no escape sequence"],
    ["attributes:a attributes:b", "does not belong there"],
    ["()", "at character 2"],
  ])("that is malformed says where: %s", (filter, place) => {
    expect(() => compileFilter(filter)).toThrow(place);
  });

  it("has at most 256 bytes", () => {
    const longest = `attributes.a = "${"x".repeat(239)}"`;
    expect(passes(longest, {})).toBe(false);
    expect(() => compileFilter(`${longest} `)).toThrow("256 bytes");
  });

  it("is compiled or refused, whatever it is", () => {
    const parts = [
      "attributes",
      ":",
      ".",
      "=",
      "!=",
      '"',
      "\\",
      "AND",
      "OR",
      "NOT",
      "-",
      "(",
      ")",
      "hasPrefix",
      ",",
      " ",
      "a",
      "é",
      "\n",
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...parts), { maxLength: 40 }), (some) => {
        try {
          compileFilter(some.join(""))({ a: "a" });
        } catch (error) {
          expect((error as Error).message).toMatch(/malformed|bytes/);
        }
      }),
      { numRuns: 5_000 },
    );
  });
});
