import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve, sep } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findFile, place } from "../../src/storage/store/files.js";
import { nameOf, pathOf, prefixOf } from "../../src/storage/store/paths.js";

const awkward = fc.constantFrom(
  ...Array.from('ab%@_+./\\:*?"<>| ~é🎵\u0000\t2F'),
  "%2F",
  "%@",
  "%+",
  "%_",
  "con",
  "NUL",
  "..",
);
const names = fc.oneof(
  fc.array(awkward, { minLength: 1, maxLength: 60 }).map((parts) => parts.join("")),
  fc.tuple(awkward, fc.nat(400)).map(([part, n]) => part.repeat(n + 1)),
);

describe("the path of an object", () => {
  it("leads back to its name, and stays below the bucket", () => {
    fc.assert(
      fc.property(names, (name) => {
        const path = pathOf(name);
        expect(nameOf(path)).toBe(name);
        const top = `${sep}root${sep}bucket`;
        expect(resolve(top, ...path).startsWith(top + sep)).toBe(true);
        for (const element of path) {
          expect(element).not.toMatch(/[/\\\0]/);
          expect(["", ".", ".."]).not.toContain(element);
          expect(Buffer.byteLength(element)).toBeLessThanOrEqual(255);
        }
      }),
      { numRuns: 3_000 },
    );
  });

  it("begins with what its folders say", () => {
    fc.assert(
      fc.property(names, (name) => {
        const path = pathOf(name);
        for (let depth = 1; depth < path.length; depth += 1) {
          expect(name.startsWith(prefixOf(path.slice(0, depth)))).toBe(true);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it("differs for names that differ", () => {
    fc.assert(
      fc.property(names, names, (a, b) => {
        expect(pathOf(a).join("/") === pathOf(b).join("/")).toBe(a === b);
      }),
      { numRuns: 3_000 },
    );
  });

  it.each([
    ["song.wav", ["song.wav"]],
    ["a/b", ["a", "b"]],
    ["a//b/", ["a", "%_", "b", "%_"]],
    ["../x", ["%2E%2E", "x"]],
    ["con.txt", ["%63on.txt"]],
    ["ends.", ["ends%2E"]],
    ["100%", ["100%"]],
    ["%41", ["%2541"]],
  ])("of %j is %j", (name, path) => {
    expect(pathOf(name)).toEqual(path);
  });

  it.each(["x:y", "a%20b", "%41", "name%+", "%2F", "ends."])("of a file named %j by hand is found", async (name) => {
    const folder = await mkdtemp(join(tmpdir(), "klio-paths-"));
    await writeFile(join(folder, name), "by hand");
    expect(nameOf([name])).toBe(name);
    expect(findFile(folder, name)?.path).toBe(join(folder, name));
    await rm(folder, { recursive: true });
  });

  it("of a segment that is too long for a file goes on in folders", async () => {
    const folder = await mkdtemp(join(tmpdir(), "klio-paths-"));
    const name = `${"é".repeat(500)}/x`;
    const path = place(folder, name);
    await writeFile(path, "x");
    expect(findFile(folder, name)?.path).toBe(path);
    await rm(folder, { recursive: true });
  });
});
