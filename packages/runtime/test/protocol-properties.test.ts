import { finished, PassThrough } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { promisify } from "node:util";
import { create, type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SupervisorFrameSchema, WorkerFrameSchema } from "../gen/worker_pb.js";
import { supervisorFrames } from "../src/protocol/codec.js";
import {
  FrameChannel,
  FrameParser,
  maxFrameBytes,
  piecesOf,
  ProtocolError,
  sharedFrameBytes,
} from "../src/protocol/frames.js";
import { codecOf, encodeFrame } from "./support/library-frames.js";
import { arbitraryMessage } from "./support/arbitrary-message.js";

const seed = Number(process.env["KLIO_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
console.log(`seed ${seed}`);
fc.configureGlobal({ seed, numRuns: process.env["KLIO_SOAK"] === undefined ? 150 : 5_000 });

const sizes = { text: 40, entries: 4 };
const directions = [
  { direction: "to a worker", schema: SupervisorFrameSchema },
  { direction: "from a worker", schema: WorkerFrameSchema },
] as const;

/** A list of frames as they travel. */
function streamOf(schema: DescMessage): fc.Arbitrary<Buffer[]> {
  return fc.array(
    arbitraryMessage(schema, sizes).map((message) => encodeFrame(schema, message)),
    { maxLength: 12 },
  );
}

/** Cuts bytes into chunks of these lengths, over and over. */
function cut(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i += 1) {
    const length = lengths[i % lengths.length] ?? 1;
    chunks.push(bytes.subarray(at, at + length));
    at += length;
  }
  return chunks;
}

const chunkLengths = fc.array(fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 400 })), {
  minLength: 1,
  maxLength: 8,
});

interface Received<Desc extends DescMessage> {
  readonly frames: MessageShape<Desc>[];
  /** What `fail` was called with, once for each call. */
  readonly ends: (Error | undefined)[];
  readonly source: PassThrough;
  /** Resolves when nothing more can come. */
  readonly over: () => Promise<void>;
}

/** What no peer that keeps to the protocol sends. */
const garbage = fc.oneof(
  fc.integer({ min: maxFrameBytes + 1, max: 2 ** 32 - 1 }).map((length) => header(length)),
  // A number that does not end, a field that ends after its frame, a group that was never opened.
  fc.constantFrom("ffffffffffffffffffffff", "2264", "226401", "0c", "00").map((hex) => framed(Buffer.from(hex, "hex"))),
);

function header(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes;
}

function framed(body: Buffer): Buffer {
  return Buffer.concat([header(body.length), body]);
}

const done = promisify(finished);

function receive<Desc extends DescMessage>(incoming: Desc): Received<Desc> {
  const source = new PassThrough();
  const channel = new FrameChannel(supervisorFrames, new PassThrough(), codecOf(incoming), source);
  const frames: MessageShape<Desc>[] = [];
  const ends: (Error | undefined)[] = [];
  channel.receive(
    (frame) => frames.push(frame),
    (error) => ends.push(error),
  );
  const over = async () => {
    await done(source).catch(() => undefined);
    await turn();
  };
  return { frames, ends, source, over };
}

const hexOf = <Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>) =>
  Buffer.from(toBinary(schema, message)).toString("hex");
const bodyHex = (frame: Buffer) => frame.subarray(4).toString("hex");

describe.each(directions)("frames $direction", ({ schema }) => {
  it("come out as they went in, whatever is in them and however the bytes are split", async () => {
    await fc.assert(
      fc.asyncProperty(streamOf(schema), chunkLengths, async (sent, lengths) => {
        const { frames, ends, source, over } = receive(schema);
        for (const chunk of cut(Buffer.concat(sent), lengths)) source.write(chunk);
        source.end();
        await over();
        expect(frames.map((f) => hexOf(schema, f))).toEqual(sent.map(bodyHex));
        expect(ends).toEqual([undefined]);
      }),
    );
  });

  it("that are damaged end the connection once, with an error, after those before them", async () => {
    await fc.assert(
      fc.asyncProperty(
        streamOf(schema),
        garbage,
        streamOf(schema),
        chunkLengths,
        async (before, bad, after, lengths) => {
          const { frames, ends, source, over } = receive(schema);
          // A chunk of its own: what is cut out together with garbage may go with it.
          for (const chunk of cut(Buffer.concat(before), lengths)) source.write(chunk);
          await turn();
          for (const chunk of cut(Buffer.concat([bad, ...after]), lengths)) source.write(chunk);
          source.end();
          await over();
          expect(frames.map((f) => hexOf(schema, f))).toEqual(before.map(bodyHex));
          expect(ends).toEqual([expect.any(Error)]);
        },
      ),
    );
  });

  it("end once with their stream, however it ends", async () => {
    const ways = fc.constantFrom("end", "destroy", "error", "end within a frame");
    await fc.assert(
      fc.asyncProperty(streamOf(schema), ways, chunkLengths, async (sent, way, lengths) => {
        const { frames, ends, source, over } = receive(schema);
        for (const chunk of cut(Buffer.concat(sent), lengths)) source.write(chunk);
        await turn();
        if (way === "end within a frame") source.write(Buffer.from([0, 0, 0, 9, 1, 2]));
        if (way === "destroy") source.destroy();
        else if (way === "error") source.destroy(new Error("the pipe broke"));
        else source.end();
        await over();
        expect(frames.map((f) => hexOf(schema, f))).toEqual(sent.map(bodyHex));
        expect(ends).toEqual([way === "error" ? new Error("the pipe broke") : undefined]);
      }),
    );
  });
});

/** One thing that goes wrong with a stream: at a place (0 to 1), with bytes of its own. */
const damage = fc.record({
  kind: fc.constantFrom("flip", "cut off", "take out", "put in", "twice", "length"),
  place: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
});

function damaged(
  stream: Buffer,
  { kind, place, bytes }: typeof damage extends fc.Arbitrary<infer T> ? T : never,
): Buffer {
  const at = Math.floor(place * stream.length);
  const [before, after] = [stream.subarray(0, at), stream.subarray(at)];
  switch (kind) {
    case "flip": {
      const flipped = Buffer.from(stream);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << ((bytes[0] ?? 0) & 7));
      return flipped;
    }
    case "cut off":
      return before;
    case "take out":
      return Buffer.concat([before, after.subarray(bytes.length)]);
    case "put in":
      return Buffer.concat([before, bytes, after]);
    case "twice":
      return Buffer.concat([before, after.subarray(0, 40), after]);
    case "length":
      return Buffer.concat([before, Buffer.from([0, 0, ...bytes.subarray(0, 2)]), after.subarray(4)]);
  }
}

describe.each(directions)("a damaged stream $direction", ({ schema }) => {
  it("yields frames, and at most one error, and then its end", async () => {
    let ended = 0;
    await fc.assert(
      fc.asyncProperty(
        streamOf(schema),
        fc.array(damage, { minLength: 1, maxLength: 6 }),
        chunkLengths,
        async (sent, damages, lengths) => {
          const bytes = damages.reduce(damaged, Buffer.concat(sent));
          const { frames, ends, source, over } = receive(schema);
          for (const chunk of cut(bytes, lengths)) source.write(chunk);
          source.end();
          await over();
          expect(ends).toHaveLength(1);
          expect(frames.length).toBeLessThanOrEqual(bytes.length / 4);
          if (ends[0] !== undefined) ended += 1;
        },
      ),
      { numRuns: process.env["KLIO_SOAK"] === undefined ? 1_500 : 100_000 },
    );
    expect(ended).toBeGreaterThan(0);
  });
});

describe("a parser", () => {
  it("takes a frame of the largest size, in however many chunks, and refuses one byte more before it is read", () => {
    const frame = Buffer.concat([header(maxFrameBytes), Buffer.alloc(maxFrameBytes, 7)]);
    for (const chunkBytes of [65_536, 10_000_019, frame.length]) {
      const parser = new FrameParser();
      const frames = cut(frame, [chunkBytes]).flatMap((chunk) => parser.push(chunk));
      expect(frames.map((f) => f.length)).toEqual([maxFrameBytes]);
      expect(frames[0]?.equals(frame.subarray(4))).toBe(true);
    }
    const after = Buffer.concat([framed(Buffer.from("1")), header(maxFrameBytes + 1)]);
    for (const lengths of [[after.length], [1]]) {
      const parser = new FrameParser();
      expect(() => cut(after, lengths).map((chunk) => parser.push(chunk))).toThrow(ProtocolError);
    }
  });

  it("takes frames without a body", () => {
    expect(new FrameParser().push(Buffer.alloc(12))).toEqual([Buffer.alloc(0), Buffer.alloc(0), Buffer.alloc(0)]);
  });

  it("copies no frame that arrived whole, however many arrive together", () => {
    const chunk = Buffer.concat(Array.from({ length: 1_000 }, (_, i) => framed(Buffer.alloc(40, i))));
    const frames = new FrameParser().push(chunk);
    expect(frames).toHaveLength(1_000);
    expect(frames.every((f) => f.buffer === chunk.buffer)).toBe(true);
  });

  it("holds no more than it was given, whatever length was announced", () => {
    const parser = new FrameParser();
    const chunk = Buffer.alloc(65_536);
    const before = process.memoryUsage().arrayBuffers;
    parser.push(header(maxFrameBytes));
    for (let i = 0; i < 500; i += 1) expect(parser.push(chunk)).toEqual([]);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1024 * 1024);
  });
});

describe("an encoder", () => {
  it("makes a frame of the largest size, and refuses one byte more", () => {
    const bundle = (message: Uint8Array) =>
      create(SupervisorFrameSchema, { frame: { case: "bundle", value: { inputs: [{ message }] } } });
    const overhead =
      toBinary(SupervisorFrameSchema, bundle(new Uint8Array(maxFrameBytes - 100))).length - maxFrameBytes + 100;
    const largest = new Uint8Array(maxFrameBytes - overhead);
    expect(encodeFrame(SupervisorFrameSchema, bundle(largest)).length).toBe(4 + maxFrameBytes);
    expect(() => encodeFrame(SupervisorFrameSchema, bundle(new Uint8Array(largest.length + 1)))).toThrow(ProtocolError);
  });
});

describe("a list that is sent in pieces", () => {
  const item = fc.oneof(
    fc.integer({ min: 0, max: 10 }),
    fc.integer({ min: 0, max: sharedFrameBytes + 10 }),
    fc.integer({ min: 0, max: maxFrameBytes }),
  );

  it("keeps its order, and each piece within its bound unless one item alone is larger", () => {
    fc.assert(
      fc.property(fc.noBias(fc.array(item, { maxLength: 60 })), (bytes) => {
        const pieces = piecesOf(bytes, (b) => b);
        const sizes = pieces.map((piece) => piece.reduce((sum, b) => sum + b, 0));
        expect(pieces.flat()).toEqual(bytes);
        for (const [i, piece] of pieces.entries()) {
          expect(piece.length).toBeGreaterThan(0);
          if (piece.length > 1) expect(sizes[i]).toBeLessThanOrEqual(sharedFrameBytes);
          // No piece is shorter than it must be.
          const [next] = pieces[i + 1] ?? [Infinity];
          expect((sizes[i] ?? 0) + (next ?? 0)).toBeGreaterThan(sharedFrameBytes);
        }
      }),
    );
  });
});
