import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { piecesOf } from "../src/objects/gcs/pieces.js";
import { chunksOf } from "../src/objects/source.js";

const { signal } = new AbortController();

describe("the source of an upload", () => {
  it("that ends after the signal has aborted does not count as complete", async () => {
    const abort = new AbortController();
    const output = new PassThrough();
    output.write("the first half");
    const chunks = chunksOf(output, abort.signal);
    expect(String((await chunks.next()).value)).toBe("the first half");
    // While the chunk is on its way: the program that wrote it is ended, and with it its output.
    abort.abort(new Error("too late"));
    output.end();
    await expect(chunks.next()).rejects.toThrow("too late");
    expect(output.destroyed).toBe(true);
  });

  it("is left as soon as nobody wants more of it", async () => {
    let left = false;
    async function* source() {
      try {
        for (;;) yield await Promise.resolve(Buffer.of(1));
      } finally {
        left = true;
      }
    }
    for await (const _ of chunksOf(source(), signal)) break;
    await expect.poll(() => left).toBe(true);
    const stream = new PassThrough();
    stream.write("x");
    for await (const _ of chunksOf(stream, signal)) break;
    expect(stream.destroyed).toBe(true);
  });

  it.each([
    [0, [0]],
    [1, [1]],
    [10, [10]],
    [11, [10, 1]],
    [20, [10, 10]],
    [25, [10, 10, 5]],
  ])("of %d bytes is cut into pieces of ten, the last of which is known as such", async (size, lengths) => {
    const data = Buffer.from(Array.from({ length: size }, (_, n) => n));
    async function* bitByBit() {
      for (const byte of data) yield await Promise.resolve(Buffer.of(byte));
    }
    for (const source of [data, bitByBit()]) {
      const pieces: Buffer[] = [];
      const last: boolean[] = [];
      for await (const piece of piecesOf(source, 10, signal)) {
        pieces.push(Buffer.from(piece.bytes)); // its memory is used again
        last.push(piece.last);
      }
      expect(pieces.map((piece) => piece.length)).toEqual(lengths);
      expect(Buffer.concat(pieces).equals(data)).toBe(true);
      expect(last).toEqual(lengths.map((_, n) => n === lengths.length - 1));
    }
  });
});
