import { CRC32C } from "@google-cloud/storage";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Crc32c, crc32cText } from "../src/objects/crc32c.js";
import { combineCrc32c } from "../src/objects/crc32c-combine.js";

const crcOf = (...parts: readonly Uint8Array[]) => parts.reduce((crc, part) => crc.update(part), new Crc32c()).value;
const word = fc.integer({ min: 0, max: 2 ** 32 - 1 });
/** Of objects of any size: five tebibytes and more. */
const length = fc.integer({ min: 0, max: 2 ** 45 });

describe("a CRC-32C", () => {
  it("is that of the standard", () => {
    // https://reveng.sourceforge.io/crc-catalogue/17plus.htm#crc.cat.crc-32-iscsi
    expect(crcOf(Buffer.from("123456789"))).toBe(0xe3069283);
    expect(crc32cText(crcOf(Buffer.from("123456789")))).toBe("4waSgw==");
    expect(crcOf()).toBe(0);
  });

  it("is the official client's, wherever the bytes lie and however they are cut", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), fc.nat(300), (bytes, one, other) => {
        const [from = 0, to = 0] = [one, other].sort((a, b) => a - b);
        const theirs = new CRC32C();
        theirs.update(Buffer.from(bytes));
        expect(crc32cText(crcOf(bytes.subarray(0, from), bytes.subarray(from, to), bytes.subarray(to)))).toBe(
          theirs.toString(),
        );
      }),
      { numRuns: 1_000 },
    );
  });

  it("of two pieces is put together from theirs", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 300 }), (first, second) => {
        expect(combineCrc32c(crcOf(first), crcOf(second), second.length)).toBe(crcOf(first, second));
      }),
    );
  });

  it("of pieces of any length is the same in whatever order they are put together", () => {
    fc.assert(
      fc.property(word, word, word, length, length, (a, b, c, ofB, ofC) => {
        const leftFirst = combineCrc32c(combineCrc32c(a, b, ofB), c, ofC);
        expect(combineCrc32c(a, combineCrc32c(b, c, ofC), ofB + ofC)).toBe(leftFirst);
      }),
    );
  });
});
