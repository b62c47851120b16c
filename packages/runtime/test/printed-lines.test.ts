import { PassThrough } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { eachLine } from "../src/supervisor/printed-lines.js";

async function linesOf(...chunks: readonly (string | Uint8Array)[]): Promise<string[]> {
  const stream = new PassThrough();
  const lines: string[] = [];
  eachLine(stream, (line) => lines.push(line));
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  await new Promise((resolve) => stream.once("close", resolve));
  return lines;
}

describe("lines that are printed", () => {
  it("end with LF, CRLF or CR, and the last one with the text", async () => {
    expect(await linesOf("one\ntwo\r\nthree\rfour\n\nsix")).toEqual(["one", "two", "three", "four", "", "six"]);
    expect(await linesOf("frame 1\r", "frame 2\r", "\nend\r\n", "\n")).toEqual(["frame 1", "frame 2", "end", ""]);
    expect(await linesOf()).toEqual([]);
  });

  it("are the same however their bytes are cut", async () => {
    const text = fc.array(fc.constantFrom("a", "é", "\u{1f600}", "\n", "\r\n", "\r"), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(text, fc.nat(60), fc.nat(60), async (parts, one, other) => {
        const bytes = Buffer.from(parts.join(""));
        const [from = 0, to = 0] = [one, other].sort((a, b) => a - b);
        const cut = await linesOf(bytes.subarray(0, from), bytes.subarray(from, to), bytes.subarray(to));
        expect(cut).toEqual(await linesOf(bytes));
      }),
    );
  });

  it("that never end come in pieces, of which one is held at most", async () => {
    const stream = new PassThrough();
    const lengths: number[] = [];
    eachLine(stream, (line) => lengths.push(line.length));
    for (let i = 0; i < 100; i += 1) {
      stream.write(Buffer.alloc(100_000, "x"));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(Math.max(...lengths)).toBe(65_536);
    expect(lengths.reduce((sum, length) => sum + length)).toBeGreaterThan(10_000_000 - 65_537);
    stream.end();
    await new Promise((resolve) => stream.once("close", resolve));
    expect(lengths.reduce((sum, length) => sum + length)).toBe(10_000_000);
  });
});
