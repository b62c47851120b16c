import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SupervisorFrameSchema } from "../gen/worker_pb.js";
import { supervisorFrames } from "../src/protocol/codec.js";
import { FrameParser, maxFrameBytes, ProtocolError } from "../src/protocol/frames.js";

describe("frames", () => {
  it("come out as they went in, however the bytes are split", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 50 })),
        (messages, cuts) => {
          const frames = messages.map((message, i) =>
            supervisorFrames.encode(
              create(SupervisorFrameSchema, {
                frame: { case: "bundle", value: { inputs: [{ id: BigInt(i), message }] } },
              }),
            ),
          );
          const all = Buffer.concat(frames);
          const parser = new FrameParser();
          const out: Buffer[] = [];
          for (let at = 0; at < all.length;) {
            const length = Number(cuts.next().value);
            out.push(...parser.push(all.subarray(at, at + length)));
            at += length;
          }
          expect(out.map((f) => f.toString("hex"))).toEqual(frames.map((f) => f.subarray(4).toString("hex")));
        },
      ),
    );
  });

  it("that are too long are refused before they are read", () => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(maxFrameBytes + 1);
    expect(() => new FrameParser().push(head)).toThrow(ProtocolError);
  });
});
