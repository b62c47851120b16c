import { randomInt } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { type ClientHttp2Session, connect } from "node:http2";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { PubSub } from "@google-cloud/pubsub";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import * as pb from "../../packages/emulators/gen/google/pubsub/v1/pubsub_pb.js";
import { EmulatorProcess } from "../support/emulator-process.js";
import { memoryOf } from "../support/memory.js";
import { seededRandom } from "../support/random.js";

process.env["METADATA_SERVER_DETECTION"] = "none";
const cases = process.env["KLIO_SOAK"] === "1" ? 120_000 : 10_000;
const atOnce = 64;
const answerMs = 30_000;
const project = "fuzz-project";
const topic = `projects/${project}/topics/fuzzed`;
const subscription = `projects/${project}/subscriptions/fuzzed`;
const snapshot = `projects/${project}/snapshots/fuzzed`;

/** A good request of every method, as `Service/Method` and encoded. */
function corpus(): [string, Uint8Array][] {
  const messages = [
    create(pb.PubsubMessageSchema, { data: Buffer.from("data"), attributes: { key: "value" }, orderingKey: "k" }),
  ];
  const fullTopic = create(pb.TopicSchema, {
    name: `${topic}-2`,
    labels: { a: "b" },
    messageRetentionDuration: durationFromMs(600_000),
  });
  const fullSubscription = create(pb.SubscriptionSchema, {
    name: `${subscription}-2`,
    topic,
    filter: 'attributes:a AND (attributes.b = "c" OR NOT hasPrefix(attributes.d, "e"))',
    ackDeadlineSeconds: 10,
    deadLetterPolicy: { deadLetterTopic: topic, maxDeliveryAttempts: 5 },
    retryPolicy: { minimumBackoff: durationFromMs(1_000), maximumBackoff: durationFromMs(2_000) },
    expirationPolicy: { ttl: durationFromMs(86_400_000) },
    enableMessageOrdering: true,
  });
  const ackIds = ["AAAAAAAAAAAA:1", "AAAAAAAAAAAA:2"];
  const updateMask = { paths: ["labels", "ack_deadline_seconds", "dead_letter_policy.max_delivery_attempts"] };
  const publisher = "google.pubsub.v1.Publisher";
  const subscriber = "google.pubsub.v1.Subscriber";
  return [
    [`${publisher}/Publish`, toBinary(pb.PublishRequestSchema, create(pb.PublishRequestSchema, { topic, messages }))],
    [`${publisher}/CreateTopic`, toBinary(pb.TopicSchema, fullTopic)],
    [
      `${publisher}/UpdateTopic`,
      toBinary(
        pb.UpdateTopicRequestSchema,
        create(pb.UpdateTopicRequestSchema, { topic: { ...fullTopic, name: topic }, updateMask }),
      ),
    ],
    [`${publisher}/GetTopic`, toBinary(pb.GetTopicRequestSchema, create(pb.GetTopicRequestSchema, { topic }))],
    [
      `${publisher}/ListTopics`,
      toBinary(
        pb.ListTopicsRequestSchema,
        create(pb.ListTopicsRequestSchema, { project: `projects/${project}`, pageSize: 2, pageToken: "cHJvamVjdHMv" }),
      ),
    ],
    [
      `${publisher}/DeleteTopic`,
      toBinary(pb.DeleteTopicRequestSchema, create(pb.DeleteTopicRequestSchema, { topic: `${topic}-2` })),
    ],
    [`${subscriber}/CreateSubscription`, toBinary(pb.SubscriptionSchema, fullSubscription)],
    [
      `${subscriber}/UpdateSubscription`,
      toBinary(
        pb.UpdateSubscriptionRequestSchema,
        create(pb.UpdateSubscriptionRequestSchema, {
          subscription: { ...fullSubscription, name: subscription },
          updateMask,
        }),
      ),
    ],
    [
      `${subscriber}/DeleteSubscription`,
      toBinary(
        pb.DeleteSubscriptionRequestSchema,
        create(pb.DeleteSubscriptionRequestSchema, { subscription: `${subscription}-2` }),
      ),
    ],
    [
      `${subscriber}/Pull`,
      toBinary(
        pb.PullRequestSchema,
        create(pb.PullRequestSchema, { subscription, maxMessages: 3, returnImmediately: true }),
      ),
    ],
    [
      `${subscriber}/StreamingPull`,
      toBinary(
        pb.StreamingPullRequestSchema,
        create(pb.StreamingPullRequestSchema, {
          subscription,
          streamAckDeadlineSeconds: 10,
          maxOutstandingMessages: 5n,
          clientId: "c",
        }),
      ),
    ],
    [
      `${subscriber}/Acknowledge`,
      toBinary(pb.AcknowledgeRequestSchema, create(pb.AcknowledgeRequestSchema, { subscription, ackIds })),
    ],
    [
      `${subscriber}/ModifyAckDeadline`,
      toBinary(
        pb.ModifyAckDeadlineRequestSchema,
        create(pb.ModifyAckDeadlineRequestSchema, { subscription, ackIds, ackDeadlineSeconds: 20 }),
      ),
    ],
    [
      `${subscriber}/ModifyPushConfig`,
      toBinary(
        pb.ModifyPushConfigRequestSchema,
        create(pb.ModifyPushConfigRequestSchema, {
          subscription: `${subscription}-2`,
          pushConfig: { pushEndpoint: "http://127.0.0.1:9/x" },
        }),
      ),
    ],
    [
      `${subscriber}/CreateSnapshot`,
      toBinary(
        pb.CreateSnapshotRequestSchema,
        create(pb.CreateSnapshotRequestSchema, { name: snapshot, subscription, labels: { a: "b" } }),
      ),
    ],
    [
      `${subscriber}/DeleteSnapshot`,
      toBinary(pb.DeleteSnapshotRequestSchema, create(pb.DeleteSnapshotRequestSchema, { snapshot })),
    ],
    [
      `${subscriber}/Seek`,
      toBinary(
        pb.SeekRequestSchema,
        create(pb.SeekRequestSchema, { subscription, target: { case: "time", value: timestampFromMs(Date.now()) } }),
      ),
    ],
  ];
}

class Fuzzer {
  readonly #corpus = corpus();

  constructor(readonly random: () => number) {}

  int(below: number): number {
    return Math.floor(this.random() * below);
  }

  request(): { readonly path: string; readonly body: Buffer } {
    const [path, bytes] = this.#corpus[this.int(this.#corpus.length)] ?? ["", Buffer.alloc(0)];
    let message: Buffer<ArrayBuffer> = Buffer.from(bytes);
    for (let i = this.int(4); i > 0; i -= 1) message = this.mutated(message);
    const length = this.random() < 0.9 ? message.length : this.int(2 ** 32);
    const prefix = Buffer.alloc(5);
    prefix[0] = this.random() < 0.95 ? 0 : this.int(256);
    prefix.writeUInt32BE(length, 1);
    let body = Buffer.concat([prefix, message]);
    if (this.random() < 0.1) body = this.mutated(body);
    if (this.random() < 0.05) body = Buffer.concat([body, body]);
    const [other = ""] = this.#corpus[this.int(this.#corpus.length)] ?? [];
    return { path: this.random() < 0.95 ? path : other, body };
  }

  mutated(bytes: Buffer): Buffer<ArrayBuffer> {
    const at = this.int(bytes.length + 1);
    const some = Buffer.from(Array.from({ length: this.int(12) }, () => this.int(256)));
    switch (this.int(6)) {
      case 0: {
        const copy = Buffer.from(bytes);
        if (copy.length > 0) copy[at % copy.length] = this.int(256);
        return copy;
      }
      case 1:
        return Buffer.from(bytes.subarray(0, at));
      case 2:
        return Buffer.concat([bytes.subarray(0, at), some, bytes.subarray(at)]);
      case 3:
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + this.int(20))]);
      case 4: {
        const [, other = Buffer.alloc(0)] = this.#corpus[this.int(this.#corpus.length)] ?? [];
        return Buffer.concat([bytes.subarray(0, at), other.subarray(this.int(other.length))]);
      }
      default: // a varint as large as can be
        return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(9, 0xff), Buffer.from([1]), bytes.subarray(at)]);
    }
  }
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "klio-fuzz-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Sends one request and waits until it is answered or broken off; streams that go on are left after a while. */
async function send(session: ClientHttp2Session, fuzzer: Fuzzer): Promise<"answered" | "hangs"> {
  const { path, body } = fuzzer.request();
  const stream = session.request({
    ":method": fuzzer.random() < 0.99 ? "POST" : "GET",
    ":path": `/${path}`,
    "content-type": fuzzer.random() < 0.98 ? "application/grpc" : "text/plain",
    te: "trailers",
    ...(fuzzer.random() < 0.1 ? { "grpc-timeout": "1S" } : {}),
    ...(fuzzer.random() < 0.05 ? { "grpc-encoding": "gzip" } : {}),
  });
  stream.on("error", () => undefined);
  stream.resume();
  const half = fuzzer.int(body.length + 1);
  stream.write(body.subarray(0, half));
  const behaviour = fuzzer.random();
  if (behaviour < 0.03) stream.close(8);
  else stream.end(body.subarray(half));
  const closed = new Promise<"answered">((resolve) =>
    stream.once("close", () => {
      resolve("answered");
    }),
  );
  if (path.endsWith("StreamingPull"))
    setTimeout(() => {
      stream.close(8);
    }, 20);
  const timeout = new AbortController();
  const outcome = await Promise.race([closed, sleep(answerMs, "hangs" as const, { signal: timeout.signal })]);
  timeout.abort();
  return outcome;
}

/** A connection of bytes that are no HTTP/2, or no more after a while. */
async function garbage(port: number, fuzzer: Fuzzer): Promise<void> {
  const socket = connectTcp(port, "127.0.0.1");
  socket.on("error", () => undefined);
  const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  const noise = Buffer.from(Array.from({ length: fuzzer.int(200) }, () => fuzzer.int(256)));
  socket.write(Buffer.concat([fuzzer.random() < 0.7 ? preface : fuzzer.mutated(preface), noise]));
  socket.resume();
  await sleep(5);
  socket.destroy();
}

describe("mutated frames and requests", () => {
  it(
    `${cases} of them neither crash the emulator, nor hang it, nor fill its memory`,
    async () => {
      const seed = randomInt(2 ** 31);
      console.log(`seed ${seed}`);
      const emulator = await EmulatorProcess.start(folder, { directory: join(folder, "state") });
      const client = new PubSub({ projectId: project, apiEndpoint: emulator.address, emulatorMode: true });
      await client.createTopic("fuzzed");
      const fuzzer = new Fuzzer(seededRandom(seed));
      let sent = 0;
      let hanging = 0;
      const open = () => {
        const opened = connect(`http://${emulator.address}`);
        opened.on("error", () => undefined);
        return opened;
      };
      let session = open();
      const worker = async () => {
        while (sent < cases) {
          sent += 1;
          if (session.closed || session.destroyed || sent % 2_000 === 0) session = open();
          if (fuzzer.random() < 0.01) await garbage(Number(emulator.address.split(":")[1]), fuzzer);
          else if ((await send(session, fuzzer)) === "hangs") hanging += 1;
        }
      };
      // Good work goes on all the while.
      const check = async () => {
        while (sent < cases) {
          const id = `good-${sent}`;
          const [made] = await client.createTopic(id);
          const [subscription] = await made.createSubscription(id);
          const received = new Promise<string>((resolve) => {
            subscription.on("message", (m: { data: Buffer; ack(): void }) => {
              m.ack();
              resolve(m.data.toString());
            });
          });
          await made.publishMessage({ data: Buffer.from(id) });
          expect(await Promise.race([received, sleep(20_000, "nothing")])).toBe(id);
          await subscription.close();
          await subscription.delete();
          await made.delete();
          await sleep(500);
        }
      };
      await Promise.all([check(), ...Array.from({ length: atOnce }, worker)]);
      expect(hanging).toBe(0);
      expect(emulator.child.exitCode).toBeNull();
      const { peak } = memoryOf(emulator.pid);
      console.log(`peak memory ${Math.round(peak / 2 ** 20)} MiB`);
      expect(peak).toBeLessThan(512 * 2 ** 20);
      session.destroy();
      await client.close();
      await emulator.end("SIGTERM");
    },
    20 * 60_000,
  );
});
