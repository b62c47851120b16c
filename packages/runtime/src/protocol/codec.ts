/* eslint-disable @typescript-eslint/no-unsafe-enum-assignment -- proto3's enumerations are open: any number may come */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type Bundle,
  type Done,
  type Failure,
  type Input,
  type NodeTime,
  type Object$,
  type Output,
  type Result,
  type Results,
  type SupervisorFrame,
  SupervisorFrameSchema,
  type Trace,
  type WorkerFrame,
  WorkerFrameSchema,
} from "../../gen/worker_pb.js";
import { type FrameCodec, framed } from "./frames.js";
import { noBytes, WireReader, WireWriter } from "./wire.js";

// Bundles and results by hand, field by field (see wire.ts); the rest of worker.proto, which is rare, is left to the library.
const bundleTag = 18;
const resultsTag = 34;

export const supervisorFrames: FrameCodec<SupervisorFrame> = {
  encode(message) {
    const { frame } = message;
    if (frame.case === "bundle") {
      const most = frame.value.inputs.reduce((sum, i) => sum + i.message.length + 200, 0);
      const writer = new WireWriter(most);
      writer.nested(bundleTag, frame.value, writeBundle);
      if (!writer.gaveUp) return framed(writer);
    }
    return framed(toBinary(SupervisorFrameSchema, message));
  },
  decode(bytes) {
    if (bytes[0] === bundleTag) {
      const reader = new WireReader(bytes);
      reader.uint32();
      const value = reader.nested(bundle);
      if (reader.more) reader.giveUp();
      if (!reader.gaveUp) {
        return { $typeName: "klio.worker.v1.SupervisorFrame", frame: { case: "bundle", value } };
      }
    }
    return fromBinary(SupervisorFrameSchema, bytes);
  },
};

export const workerFrames: FrameCodec<WorkerFrame> = {
  encode(message) {
    const { frame } = message;
    if (frame.case === "results") {
      const writer = new WireWriter(frame.value.results.reduce((sum, r) => sum + resultBytes(r), 0));
      writer.nested(resultsTag, frame.value, writeResults);
      if (!writer.gaveUp) return framed(writer);
    }
    return framed(toBinary(WorkerFrameSchema, message));
  },
  decode(bytes) {
    if (bytes[0] === resultsTag) {
      const reader = new WireReader(bytes);
      reader.uint32();
      const value = reader.nested(results);
      if (reader.more) reader.giveUp();
      if (!reader.gaveUp) {
        return { $typeName: "klio.worker.v1.WorkerFrame", frame: { case: "results", value } };
      }
    }
    return fromBinary(WorkerFrameSchema, bytes);
  },
};

/** About how many bytes a result has. */
export function resultBytes({ outcome }: Result): number {
  if (outcome.case !== "done") return 1_000;
  return outcome.value.outputs.reduce((sum, o) => sum + o.payload.length + o.element.length + 200, 200);
}

// ---- to the worker

function bundle(reader: WireReader): Bundle {
  const made: Bundle = { $typeName: "klio.worker.v1.Bundle", inputs: [] };
  while (reader.more) {
    if (reader.uint32() === 10) made.inputs.push(reader.nested(input));
    else reader.giveUp();
  }
  return made;
}

function writeBundle(writer: WireWriter, value: Bundle): void {
  writer.list(10, value.inputs, writeInput);
}

function input(reader: WireReader): Input {
  const made: Input = {
    $typeName: "klio.worker.v1.Input",
    id: 0n,
    klioId: "",
    attempt: 0,
    message: noBytes,
    timeoutMs: 0,
    source: "",
  };
  while (reader.more) {
    const tag = reader.uint32();
    if (tag === 8) made.id = reader.uint64();
    else if (tag === 18) made.klioId = reader.text();
    else if (tag === 24) made.attempt = reader.uint32();
    else if (tag === 34) made.message = reader.data();
    else if (tag === 40) made.timeoutMs = reader.uint32();
    else if (tag === 50) made.source = reader.text();
    else if (tag === 58 && made.trace === undefined) made.trace = reader.nested(trace);
    else reader.giveUp();
  }
  return made;
}

function writeInput(writer: WireWriter, value: Input): void {
  writer.nested(58, value.trace, writeTrace);
  writer.text(50, value.source);
  writer.uint(40, value.timeoutMs);
  writer.data(34, value.message);
  writer.uint(24, value.attempt);
  writer.text(18, value.klioId);
  writer.uint64(8, value.id);
}

function trace(reader: WireReader): Trace {
  const made: Trace = { $typeName: "klio.worker.v1.Trace", traceparent: "", tracestate: "" };
  while (reader.more) {
    const tag = reader.uint32();
    if (tag === 10) made.traceparent = reader.text();
    else if (tag === 18) made.tracestate = reader.text();
    else reader.giveUp();
  }
  return made;
}

function writeTrace(writer: WireWriter, value: Trace): void {
  writer.text(18, value.tracestate);
  writer.text(10, value.traceparent);
}

// ---- from the worker

function results(reader: WireReader): Results {
  const made: Results = { $typeName: "klio.worker.v1.Results", results: [] };
  while (reader.more) {
    if (reader.uint32() === 10) made.results.push(reader.nested(result));
    else reader.giveUp();
  }
  return made;
}

function writeResults(writer: WireWriter, value: Results): void {
  writer.list(10, value.results, writeResult);
}

function result(reader: WireReader): Result {
  const made: Result = {
    $typeName: "klio.worker.v1.Result",
    id: 0n,
    durationUs: 0n,
    outcome: { case: undefined },
    nodes: [],
    bytesRead: 0n,
  };
  while (reader.more) {
    const tag = reader.uint32();
    const first = made.outcome.case === undefined;
    if (tag === 8) made.id = reader.uint64();
    else if (tag === 16) made.durationUs = reader.uint64();
    else if (tag === 26 && first) made.outcome = { case: "done", value: reader.nested(done) };
    else if (tag === 34 && first) made.outcome = { case: "failure", value: reader.nested(failure) };
    else if (tag === 42) made.nodes.push(reader.nested(nodeTime));
    else if (tag === 48) made.bytesRead = reader.uint64();
    else reader.giveUp();
  }
  return made;
}

function writeResult(writer: WireWriter, value: Result): void {
  const { outcome } = value;
  writer.uint64(48, value.bytesRead);
  writer.list(42, value.nodes, writeNodeTime);
  if (outcome.case === "failure") writer.nested(34, outcome.value, writeFailure);
  else if (outcome.case === "done") writer.nested(26, outcome.value, writeDone);
  writer.uint64(16, value.durationUs);
  writer.uint64(8, value.id);
}

function nodeTime(reader: WireReader): NodeTime {
  const made: NodeTime = { $typeName: "klio.worker.v1.NodeTime", node: "", durationUs: 0n, calls: 0 };
  while (reader.more) {
    const tag = reader.uint32();
    if (tag === 10) made.node = reader.text();
    else if (tag === 16) made.durationUs = reader.uint64();
    else if (tag === 24) made.calls = reader.uint32();
    else reader.giveUp();
  }
  return made;
}

function writeNodeTime(writer: WireWriter, value: NodeTime): void {
  writer.uint(24, value.calls);
  writer.uint64(16, value.durationUs);
  writer.text(10, value.node);
}

function done(reader: WireReader): Done {
  const made: Done = { $typeName: "klio.worker.v1.Done", kind: 0, reason: "", outputs: [], objects: [] };
  while (reader.more) {
    const tag = reader.uint32();
    if (tag === 8) made.kind = reader.int32();
    else if (tag === 18) made.reason = reader.text();
    else if (tag === 26) made.outputs.push(reader.nested(output));
    else if (tag === 34) made.objects.push(reader.nested(object));
    else reader.giveUp();
  }
  return made;
}

function writeDone(writer: WireWriter, value: Done): void {
  writer.list(34, value.objects, writeObject);
  writer.list(26, value.outputs, writeOutput);
  writer.text(18, value.reason);
  writer.uint(8, value.kind);
}

function output(reader: WireReader): Output {
  const made: Output = {
    $typeName: "klio.worker.v1.Output",
    node: "",
    tag: "",
    index: 0,
    element: noBytes,
    payload: noBytes,
    passThrough: false,
  };
  while (reader.more) {
    const tag = reader.uint32();
    if (tag === 10) made.node = reader.text();
    else if (tag === 18) made.tag = reader.text();
    else if (tag === 24) made.index = reader.uint32();
    else if (tag === 34) made.element = reader.data();
    else if (tag === 42) made.payload = reader.data();
    else if (tag === 48) made.passThrough = reader.bool();
    else if (tag === 58 && made.trace === undefined) made.trace = reader.nested(trace);
    else reader.giveUp();
  }
  return made;
}

function writeOutput(writer: WireWriter, value: Output): void {
  writer.nested(58, value.trace, writeTrace);
  writer.bool(48, value.passThrough);
  writer.data(42, value.payload);
  writer.data(34, value.element);
  writer.uint(24, value.index);
  writer.text(18, value.tag);
  writer.text(10, value.node);
}

function object(reader: WireReader): Object$ {
  const made: Object$ = { $typeName: "klio.worker.v1.Object", uri: "", write: 0, size: 0n, generation: 0n };
  while (reader.more) {
    const tag = reader.uint32();
    if (tag === 10) made.uri = reader.text();
    else if (tag === 16) made.write = reader.int32();
    else if (tag === 24) made.size = reader.uint64();
    else if (tag === 32) made.generation = reader.uint64();
    else reader.giveUp();
  }
  return made;
}

function writeObject(writer: WireWriter, value: Object$): void {
  writer.uint64(32, value.generation);
  writer.uint64(24, value.size);
  writer.uint(16, value.write);
  writer.text(10, value.uri);
}

function failure(reader: WireReader): Failure {
  const made: Failure = {
    $typeName: "klio.worker.v1.Failure",
    kind: 0,
    code: "",
    message: "",
    stack: "",
    node: "",
  };
  while (reader.more) {
    const tag = reader.uint32();
    if (tag === 8) made.kind = reader.int32();
    else if (tag === 18) made.code = reader.text();
    else if (tag === 26) made.message = reader.text();
    else if (tag === 34) made.stack = reader.text();
    else if (tag === 42) made.node = reader.text();
    else reader.giveUp();
  }
  return made;
}

function writeFailure(writer: WireWriter, value: Failure): void {
  writer.text(42, value.node);
  writer.text(34, value.stack);
  writer.text(26, value.message);
  writer.text(18, value.code);
  writer.uint(8, value.kind);
}
