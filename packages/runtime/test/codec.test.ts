/* eslint-disable @typescript-eslint/no-unsafe-enum-assignment -- proto3's enumerations are open: any number may come */
import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KlioMessageSchema } from "../gen/klio_pb.js";
import { Done_Kind, Failure_Kind, Object_Write, SupervisorFrameSchema, WorkerFrameSchema } from "../gen/worker_pb.js";
import { readMessage, writeMessage } from "../src/message/codec.js";
import { supervisorFrames, workerFrames } from "../src/protocol/codec.js";

// The codecs written by hand against the library's, which is taken to be right.
type Arbitrary<Schema extends DescMessage> = fc.Arbitrary<MessageInitShape<Schema>>;
const seed = Number(process.env["KLIO_SEED"] ?? Date.now() % 1_000_000);
const check = { seed, numRuns: process.env["KLIO_SOAK"] === undefined ? 300 : 20_000 };
console.log(`KLIO_SEED=${seed}`);

const text = fc.oneof(
  fc.string({ maxLength: 80 }),
  fc.string({ unit: "binary", maxLength: 80 }),
  fc.string({ unit: "grapheme", maxLength: 300 }),
  fc.constant("\ufeffbegins with a mark"),
);
const bytes = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 120, maxLength: 2_000 }));
const uint32 = fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 0xffff_ffff }));
const int32 = fc.oneof(fc.nat(300), fc.integer());
const uint64 = fc.oneof(fc.bigInt({ min: 0n, max: 300n }), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }));
const int64 = fc.oneof(fc.bigInt({ min: 0n, max: 1n << 40n }), fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }));
const few = <T>(one: fc.Arbitrary<T>) => fc.array(one, { maxLength: 3 });
const maybe = <T>(one: fc.Arbitrary<T>) => fc.option(one, { nil: undefined, freq: 2 });
const oneOf = (known: Readonly<Record<string, fc.Arbitrary<unknown>>>) =>
  fc.oneof(
    fc.constant({ case: undefined }),
    ...Object.entries(known).map(([name, value]) => fc.record({ case: fc.constant(name), value })),
  );

const unknown = fc.option(
  fc.array(
    fc.record({
      no: fc.integer({ min: 100, max: 3_000 }),
      wireType: fc.constant(0),
      data: fc.constant(Uint8Array.of(7)),
    }),
    { minLength: 1, maxLength: 2 },
  ),
  { nil: undefined, freq: 20 },
);
/** A message, now and then with fields that nobody knows. */
const message = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc
    .tuple(fc.record(fields), unknown)
    .map(([known, $unknown]) => ($unknown === undefined ? known : { ...known, $unknown }));

const job = message({
  jobName: text,
  gcpProject: text,
  inputs: few(message({ topic: text, subscription: text, dataLocation: text })),
});
const klioMessages = message({
  version: int32,
  metadata: maybe(
    message({
      downstream: few(job),
      visited: few(job),
      jobAuditLog: few(message({ timestamp: maybe(message({ seconds: int64, nanos: int32 })), klioJob: maybe(job) })),
      force: fc.boolean(),
      ping: fc.boolean(),
      intendedRecipients: maybe(
        message({
          recipients: oneOf({
            anyone: message({}),
            limited: message({ recipients: few(job), triggerChildrenOf: maybe(job) }),
          }),
        }),
      ),
    }),
  ),
  data: maybe(message({ entityId: text, payload: bytes, element: bytes })),
}) as Arbitrary<typeof KlioMessageSchema>;

const trace = maybe(message({ traceparent: text, tracestate: text }));
const bundles = fc.record({
  frame: oneOf({
    bundle: message({
      inputs: few(
        message({ id: uint64, klioId: text, attempt: uint32, message: bytes, timeoutMs: uint32, source: text, trace }),
      ),
    }),
    cancel: message({ id: uint64, reason: text }),
  }),
}) as Arbitrary<typeof SupervisorFrameSchema>;

const done = message({
  kind: fc.constantFrom(...(Object.values(Done_Kind).filter((k) => typeof k === "number") as Done_Kind[])),
  reason: text,
  outputs: few(
    message({ node: text, tag: text, index: uint32, element: bytes, payload: bytes, passThrough: fc.boolean(), trace }),
  ),
  objects: few(
    message({
      uri: text,
      write: fc.constantFrom(Object_Write.KEPT, 77 as Object_Write),
      size: uint64,
      generation: uint64,
    }),
  ),
});
const failure = message({
  kind: fc.constantFrom(Failure_Kind.KIND_UNSPECIFIED, Failure_Kind.TIMEOUT, -3 as Failure_Kind),
  code: text,
  message: text,
  stack: text,
  node: text,
});
const results = fc.record({
  frame: oneOf({
    results: message({
      results: few(
        message({
          id: uint64,
          durationUs: uint64,
          outcome: oneOf({ done, failure }),
          nodes: few(message({ node: text, durationUs: uint64, calls: uint32 })),
          bytesRead: uint64,
        }),
      ),
    }),
    leave: message({ id: uint64, node: text }),
  }),
}) as Arbitrary<typeof WorkerFrameSchema>;

interface Case<Schema extends DescMessage> {
  readonly schema: Schema;
  readonly messages: Arbitrary<Schema>;
  readonly write: (message: ReturnType<typeof create<Schema>>) => Buffer;
  readonly read: (bytes: Buffer) => ReturnType<typeof create<Schema>>;
}

function describeCodec<Schema extends DescMessage>(
  name: string,
  { schema, messages, write, read }: Case<Schema>,
): void {
  describe(name, () => {
    it("are written byte for byte as the library writes them", () => {
      fc.assert(
        fc.property(messages, (init) => {
          const given = create(schema, init);
          expect(write(given).toString("hex")).toBe(Buffer.from(toBinary(schema, given)).toString("hex"));
        }),
        check,
      );
    });

    it("are read as the library reads them", () => {
      fc.assert(
        fc.property(messages, (init) => {
          const bytes = Buffer.from(toBinary(schema, create(schema, init)));
          expect(read(bytes)).toEqual(fromBinary(schema, bytes));
        }),
        check,
      );
    });

    it("are read as the library reads them, in two parts that are to be merged", () => {
      fc.assert(
        fc.property(messages, messages, (first, second) => {
          const bytes = Buffer.concat([first, second].map((init) => toBinary(schema, create(schema, init))));
          expect(read(bytes)).toEqual(fromBinary(schema, bytes));
        }),
        check,
      );
    });

    it("that are broken are taken or refused as the library does", () => {
      const outcome = (decode: () => unknown) => {
        try {
          return { message: decode() };
        } catch {
          return "refused";
        }
      };
      const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 });
      fc.assert(
        fc.property(messages, damage, fc.nat(), (init, changes, cut) => {
          const bytes = Buffer.from(toBinary(schema, create(schema, init)));
          for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value;
          const broken = cut % 3 === 0 ? bytes.subarray(0, cut % (bytes.length + 1)) : bytes;
          expect(outcome(() => read(broken))).toEqual(outcome(() => fromBinary(schema, broken)));
        }),
        check,
      );
    });
  });
}

describeCodec("Klio messages", {
  schema: KlioMessageSchema,
  messages: klioMessages,
  write: writeMessage,
  read: readMessage,
});
describeCodec("frames to workers", {
  schema: SupervisorFrameSchema,
  messages: bundles,
  write: (m) => supervisorFrames.encode(m).subarray(4),
  read: (b) => supervisorFrames.decode(b),
});
describeCodec("frames from workers", {
  schema: WorkerFrameSchema,
  messages: results,
  write: (m) => workerFrames.encode(m).subarray(4),
  read: (b) => workerFrames.decode(b),
});
