import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { SupervisorFrameSchema, WorkerFrameSchema } from "../../gen/worker_pb.js";
import { supervisorFrames, workerFrames } from "../../src/protocol/codec.js";
import { type FrameCodec, framed } from "../../src/protocol/frames.js";

/** A frame as the library encodes it, and not klio's own codec. */
export function encodeFrame<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Buffer {
  return framed(toBinary(schema, message));
}

/** klio's codec of frames of a schema. */
export function codecOf<Desc extends DescMessage>(schema: Desc): FrameCodec<MessageShape<Desc>> {
  const codecs = new Map<DescMessage, unknown>([
    [SupervisorFrameSchema, supervisorFrames],
    [WorkerFrameSchema, workerFrames],
  ]);
  return codecs.get(schema) as FrameCodec<MessageShape<Desc>>;
}
