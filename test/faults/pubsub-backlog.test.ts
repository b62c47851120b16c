import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { type Message, PubSub, v1 } from "@google-cloud/pubsub";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StreamingPullRequestSchema } from "../../packages/emulators/gen/google/pubsub/v1/pubsub_pb.js";
import { EmulatorProcess } from "../support/emulator-process.js";
import { memoryOf } from "../support/memory.js";

process.env["METADATA_SERVER_DETECTION"] = "none";
const count = process.env["KLIO_SOAK"] === "1" ? 1_000_000 : 100_000;
const perRequest = 1_000;
const project = "backlog-project";
const name = (id: string) => `projects/${project}/subscriptions/${id}`;
const mebi = 2 ** 20;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "klio-backlog-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Opens a streaming pull without bounds whose answer nobody reads. */
function openStuck(address: string, id: string) {
  const session = connect(`http://${address}`);
  session.on("error", () => undefined);
  const stream = session.request({
    ":method": "POST",
    ":path": "/google.pubsub.v1.Subscriber/StreamingPull",
    "content-type": "application/grpc",
    te: "trailers",
  });
  const request = create(StreamingPullRequestSchema, { subscription: name(id), streamAckDeadlineSeconds: 600 });
  const message = toBinary(StreamingPullRequestSchema, request);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  stream.write(Buffer.concat([prefix, message]));
  stream.on("error", () => undefined);
  return session;
}

describe("a backlog", () => {
  it(
    `of ${count} messages of 1 KiB stays on disk, whatever its consumers do`,
    async () => {
      const emulator = await EmulatorProcess.start(folder, { directory: join(folder, "state") });
      const client = new PubSub({ projectId: project, apiEndpoint: emulator.address, emulatorMode: true });
      const [servicePath = "", port = ""] = emulator.address.split(":");
      const publisher = new v1.PublisherClient({
        servicePath,
        port: Number(port),
        sslCreds: client.options.sslCreds,
      } as ConstructorParameters<typeof v1.PublisherClient>[0]);
      const [topic] = await client.createTopic("behind");
      for (const id of ["stuck", "hoarder", "slow", "keyed", "filtered"]) {
        await topic.createSubscription(id, {
          ackDeadlineSeconds: 600,
          enableMessageOrdering: id === "keyed",
          filter: id === "filtered" ? "attributes:last" : "",
        });
      }
      // One takes everything and reads nothing, one reads everything and acknowledges nothing.
      const stuck = openStuck(emulator.address, "stuck");
      const hoard: Message[] = [];
      const hoarder = client.subscription("hoarder", {
        flowControl: { maxMessages: 10_000_000, allowExcessMessages: true },
      });
      hoarder.on("message", (m: Message) => {
        if (hoard.length < 10) hoard.push(m);
      });
      const data = Buffer.alloc(1_024, "x");
      const publish = (key: number) => {
        const messages = Array.from({ length: perRequest }, () => ({ data, orderingKey: `${key % 7}` }));
        return publisher.publish({ topic: topic.name, messages }, { isBundling: false });
      };
      for (let sent = 0; sent < count / perRequest; sent += 4) {
        await Promise.all([sent, sent + 1, sent + 2, sent + 3].map(publish));
      }
      await publisher.publish({ topic: topic.name, messages: [{ data, attributes: { last: "yes" } }] });
      // A slow one, one with keys, and one that passes over all but the last.
      let slow = 0;
      const slowly = client.subscription("slow", { flowControl: { maxMessages: 10 } });
      slowly.on(
        "message",
        (m: Message) =>
          void sleep(20).then(() => {
            slow += 1;
            m.ack();
          }),
      );
      let keyed = 0;
      const byKey = client.subscription("keyed", { flowControl: { maxMessages: 100 } });
      byKey.on("message", (m: Message) => {
        keyed += 1;
        if (m.orderingKey !== "6") m.ack();
      });
      const filtered = new Promise<Message>((resolve) =>
        client.subscription("filtered").on("message", (m: Message) => {
          m.ack();
          resolve(m);
        }),
      );
      const last = await Promise.race([filtered, sleep(120_000, undefined)]);
      expect(last?.attributes).toEqual({ last: "yes" });
      await sleep(5_000);
      expect(slow).toBeGreaterThan(50);
      expect(keyed).toBeGreaterThan(500);
      expect(hoard).toHaveLength(10);
      const { now, peak } = memoryOf(emulator.pid);
      console.log(
        `${count} messages behind: memory ${Math.round(now / mebi)} MiB, peak ${Math.round(peak / mebi)} MiB`,
      );
      expect(peak).toBeLessThan(400 * mebi);
      stuck.destroy();
      await Promise.allSettled([hoarder.close(), slowly.close(), byKey.close()]);
      await emulator.end("SIGKILL");
      // It is there again at once, not read through at the start.
      const again = await EmulatorProcess.start(folder, { directory: join(folder, "state") });
      expect(memoryOf(again.pid).peak).toBeLessThan(250 * mebi);
      await again.end("SIGTERM");
      await Promise.allSettled([client.close(), publisher.close()]);
    },
    20 * 60_000,
  );
});
