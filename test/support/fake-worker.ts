// A worker that breaks the protocol. What it does for an element is said by the element's name, KIND-anything, and done once;
// after that it answers as it should. It is bundled and put in the place of dist/runtime/worker.js.
import { closeSync, existsSync, writeFileSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { KlioMessageSchema } from "../../packages/runtime/gen/klio_pb.js";
import {
  Done_Kind,
  Failure_Kind,
  type Input,
  Metric_Kind,
  type ResultSchema,
  SupervisorFrameSchema,
  WorkerFrameSchema,
} from "../../packages/runtime/gen/worker_pb.js";
import { FrameChannel, maxFrameBytes, protocolVersion } from "../../packages/runtime/src/protocol/frames.js";
import { codecOf, encodeFrame } from "../../packages/runtime/test/support/library-frames.js";
import { seededRandom } from "./random.js";

type Frame = NonNullable<MessageInitShape<typeof WorkerFrameSchema>["frame"]>;
type Result = MessageInitShape<typeof ResultSchema>;

const folder = process.env["FAULT_FOLDER"] ?? "";
const random = seededRandom(Number(process.env["KLIO_SEED"] ?? 1) + process.pid);

/** A kind that no version knows. */
const unheardOf = 99 as never;

/** True the first time only, over all processes. */
function once(what: string): boolean {
  const marker = join(folder, `fake-${what}`);
  if (existsSync(marker)) return false;
  writeFileSync(marker, "");
  return true;
}

const encode = (frame: Frame) => encodeFrame(WorkerFrameSchema, create(WorkerFrameSchema, { frame }));

/** At once and whole: what follows may be the end. */
function write(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(4, bytes, at);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EBADF") return; // it has closed it
      if (code !== "EAGAIN") throw error;
    }
  }
}

function say(frame: Frame): void {
  write(encode(frame));
}

function results(...all: Result[]): void {
  say({ case: "results", value: { results: all } });
}

function done(id: bigint, element: Uint8Array): Result {
  const outputs = [{ node: "work", tag: "main", index: 0, element, payload: Buffer.from("done") }];
  return { id, outcome: { case: "done", value: { kind: Done_Kind.PROCESSED, outputs } } };
}

function failed(id: bigint, kind: Failure_Kind): Result {
  return { id, outcome: { case: "failure", value: { kind, code: "FAKE", message: "as its name says" } } };
}

function header(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes;
}

/** Valid frames with some of their bytes changed, taken out or put in. */
function damaged(bytes: Buffer): Buffer {
  const at = Math.floor(random() * bytes.length);
  const length = Math.floor(random() * 6);
  const noise = Buffer.from(Array.from({ length: Math.floor(random() * 6) }, () => Math.floor(random() * 256)));
  return Buffer.concat([bytes.subarray(0, at), noise, bytes.subarray(at + length)]);
}

/** What is done for the first input of this kind; returns whether it is answered properly besides. */
const misdeeds: Readonly<Record<string, (input: Input, element: Uint8Array) => boolean>> = {
  garbage: () => {
    write(Buffer.alloc(1_000, 0xff));
    return true;
  },
  random: () => {
    write(Buffer.from(Array.from({ length: 10_000 }, () => Math.floor(random() * 256))));
    return true;
  },
  damaged: (input, element) => {
    const proper = encode({ case: "results", value: { results: [done(input.id, element)] } });
    const log = encode({ case: "log", value: { id: input.id, message: "hello", fieldsJson: "{}", severity: "INFO" } });
    write(damaged(Buffer.concat([log, proper, log])));
    return false;
  },
  oversize: () => {
    write(header(maxFrameBytes + 1));
    return true;
  },
  undecodable: () => {
    write(Buffer.concat([header(2), Buffer.from([0x22, 0x64])]));
    return true;
  },
  unfinished: () => {
    write(Buffer.concat([header(1_000), Buffer.alloc(500)]));
    return true; // which is taken for the rest of that frame
  },
  empty: () => {
    write(header(0));
    return true;
  },
  newer: () => {
    // A field 200 with one byte: a frame of a later version.
    write(Buffer.concat([header(4), Buffer.from([0xc2, 0x0c, 0x01, 0x00])]));
    return true;
  },
  unknown: () => {
    results(done(123_456_789n, Buffer.from("x")), failed(2n ** 64n - 1n, Failure_Kind.PERMANENT));
    return true;
  },
  double: (input, element) => {
    results(done(input.id, element), done(input.id, element));
    return true;
  },
  contrary: (input, element) => {
    results(done(input.id, element), failed(input.id, Failure_Kind.PERMANENT));
    return false;
  },
  nothing: (input) => {
    results({ id: input.id });
    return true;
  },
  failure: (input) => {
    results(failed(input.id, unheardOf));
    return true;
  },
  unspecified: (input) => {
    results(failed(input.id, Failure_Kind.KIND_UNSPECIFIED));
    return true;
  },
  strange: (input, element) => {
    const objects = [{ uri: "gs://b/o", write: unheardOf, size: 2n ** 64n - 1n, generation: 1n }];
    const outputs = [{ node: "work", tag: "main", index: 0, element, payload: Buffer.from("done") }];
    results({
      id: input.id,
      durationUs: 2n ** 64n - 1n,
      outcome: { case: "done", value: { kind: unheardOf, outputs, objects } },
    });
    return false;
  },
  many: () => {
    results(...Array.from({ length: 50_000 }, (_, i) => ({ id: BigInt(i) << 32n })));
    return true;
  },
  close: () => {
    closeSync(4);
    setInterval(() => undefined, 60_000);
    return false;
  },
  exit: (input, element) => {
    results(done(input.id, element));
    process.exit(0);
  },
  ready: () => {
    say({ case: "ready", value: { credit: 4_000_000_000, graphDigest: "another" } });
    say({ case: "hello", value: { protocol: protocolVersion, pid: 1 } });
    return true;
  },
  older: () => {
    say({ case: "hello", value: { protocol: 99 } });
    return false;
  },
  setup: () => {
    say({ case: "fatal", value: { failure: { code: "SETUP", message: "late" } } });
    return false;
  },
  fatal: () => {
    say({ case: "fatal", value: {} });
    return true;
  },
  log: ({ id }) => {
    say({ case: "log", value: { id, severity: "SHOUT", message: "\u2028\0", fieldsJson: "{}", node: "nowhere" } });
    say({ case: "log", value: { id: 99n, severity: "INFO", message: "of nothing", fieldsJson: "[]" } });
    say({ case: "log", value: { id, fieldsJson: "{" } });
    return true;
  },
  bare: ({ id }) => {
    say({ case: "log", value: { id, message: "without fields" } });
    return true;
  },
  tickets: () => {
    // Twice the same, and then it is gone: none of it may stay taken.
    for (const ticket of [1, 1]) say({ case: "acquire", value: { ticket, limit: "places", size: 2 } });
    process.exit(1);
  },
  metrics: () => {
    const names = ["a", "__proto__", "\0"];
    const values = [NaN, Infinity, -1];
    const kinds = [Metric_Kind.COUNTER, Metric_Kind.KIND_UNSPECIFIED, unheardOf];
    const metrics = names.flatMap((name) => values.flatMap((value) => kinds.map((kind) => ({ kind, name, value }))));
    say({ case: "metrics", value: { metrics } });
    say({ case: "enter", value: { id: 99n, node: "nowhere", timeoutMs: 1 } });
    say({ case: "leave", value: { id: 99n, node: "nowhere" } });
    say({ case: "release", value: { ticket: 99 } });
    say({ case: "acquire", value: { ticket: 2 ** 32 - 1, limit: "\0", size: 2 ** 32 - 1 } });
    say({ case: "heartbeat", value: { rssBytes: 2n ** 64n - 1n } });
    return true;
  },
};

function answer(input: Input): void {
  const element = fromBinary(KlioMessageSchema, input.message).data?.element ?? new Uint8Array();
  const name = Buffer.from(element).toString();
  const misdeed = misdeeds[name.split("-")[0] ?? ""];
  const proper = misdeed === undefined || !once(name) || misdeed(input, element);
  if (proper && name.startsWith("tickets")) afterGrants(input.id, element);
  else if (proper) results(done(input.id, element));
}

/** Tickets for which no place was given yet, and what is said once they have one. */
const wanted = new Set<number>();
let then: () => void = () => undefined;

/** Answers when it has both places of the limit. */
function afterGrants(id: bigint, element: Uint8Array): void {
  then = () => {
    results(done(id, element));
  };
  for (const ticket of [11, 12]) {
    wanted.add(ticket);
    say({ case: "acquire", value: { ticket, limit: "places", size: 2 } });
  }
}

const start = process.env["FAKE_START"] ?? "";
const badStart = start !== "" && once(start);
const supervisor = new FrameChannel(
  codecOf(WorkerFrameSchema),
  process.stdout,
  codecOf(SupervisorFrameSchema),
  new Socket({ fd: 3 }),
);
supervisor.receive(
  ({ frame }) => {
    if (frame.case === "configure") {
      if (badStart && start === "fatal") say({ case: "fatal", value: {} });
      else if (badStart && start === "idle") say({ case: "ready", value: { credit: 0, graphDigest: "0" } });
      else say({ case: "ready", value: { credit: frame.value.concurrency, graphDigest: "0" } });
    }
    if (frame.case === "bundle") for (const input of frame.value.inputs) answer(input);
    if (frame.case === "grant" && wanted.delete(frame.value.ticket) && wanted.size === 0) then();
    if (frame.case === "drain" && frame.value.final) process.exit(0);
  },
  () => process.exit(0),
);
if (badStart && start === "version") say({ case: "hello", value: { protocol: 99 } });
else if (badStart && start === "garbage") write(Buffer.alloc(100, 0xff));
else say({ case: "hello", value: { protocol: protocolVersion, pid: process.pid } });
