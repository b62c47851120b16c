import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { glob } from "../../src/storage/api/glob.js";

describe("a glob pattern", () => {
  it.each<[string, readonly string[], readonly string[]]>([
    ["*", ["a", ""], ["a/b"]],
    ["**", ["a", "a/b", ""], []],
    ["a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a/xb", "ab"]],
    ["**/b", ["b", "x/b", "x/y/b"], ["xb"]],
    ["a**b", ["ab", "a/x/b"], ["a/x/c"]],
    ["?.wav", ["a.wav", "🎵.wav"], ["/.wav", "ab.wav"]],
    ["[a-c]", ["a", "b"], ["d", "/"]],
    ["[!a-c]", ["d"], ["a", "/"]],
    ["[^a]", ["b"], ["a"]],
    ["[a\\]]", ["a", "]"], ["\\"]],
    ["[a-]", ["a", "-"], ["b"]],
    ["{a,b{c,d}}x", ["ax", "bcx", "bdx"], ["bx"]],
    ["{a,}x", ["ax", "x"], []],
    ["a,b", ["a,b"], []],
    ["\\*", ["*"], ["a"]],
    ["a\\", ["a\\"], ["a"]],
  ])("%j matches %j and not %j", (pattern, yes, no) => {
    expect(yes.map(glob(pattern))).toEqual(yes.map(() => true));
    expect(no.map(glob(pattern))).toEqual(no.map(() => false));
  });

  it.each([
    "[",
    "[a",
    "[]",
    "[!]",
    "]",
    "{",
    "{a",
    "}",
    "[z-a]",
    "{a,b}".repeat(14),
    "{,}".repeat(30),
    "a".repeat(1_025),
  ])("%j is refused", (pattern) => {
    expect(() => glob(pattern)).toThrow(/matchGlob/);
  });

  it("takes time in proportion to pattern and name", () => {
    const matches = glob("*a".repeat(400));
    expect(matches(`${"a".repeat(1_000)}b`)).toBe(false); // a matcher that goes back would not end
  });

  it("matches itself where nothing is special", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (name) => {
        const quoted = name.replaceAll(/[\\*?[\]{}]/g, "\\$&");
        expect(glob(quoted)(name)).toBe(true);
      }),
    );
  });
});
