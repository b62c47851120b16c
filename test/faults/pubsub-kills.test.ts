import { randomInt } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Message, PubSub, v1 } from "@google-cloud/pubsub";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EmulatorProcess } from "../support/emulator-process.js";
import { seededRandom } from "../support/random.js";
import { freePort } from "../support/targets.js";

process.env["METADATA_SERVER_DETECTION"] = "none";
const kills = process.env["KLIO_SOAK"] === "1" ? 200 : 15;
const project = "kill-project";
const topic = `projects/${project}/topics/killed`;
const subscriptions = ["idle", "busy", "ordered"];

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "klio-kills-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Messages of one request. */
interface Batch {
  readonly orderingKey: string;
  readonly texts: readonly string[];
}

/** The clients of one life of the emulator. */
class Clients {
  readonly client: PubSub;
  readonly publisher: InstanceType<typeof v1.PublisherClient>;

  constructor(readonly address: string) {
    const [servicePath = "", port = ""] = address.split(":");
    this.client = new PubSub({ projectId: project, apiEndpoint: address, emulatorMode: true });
    this.publisher = new v1.PublisherClient({
      servicePath,
      port: Number(port),
      sslCreds: this.client.options.sslCreds,
    } as ConstructorParameters<typeof v1.PublisherClient>[0]);
  }

  async create(): Promise<void> {
    await this.client.createTopic("killed");
    for (const name of subscriptions) {
      await this.client.topic("killed").createSubscription(name, {
        ackDeadlineSeconds: 600,
        enableMessageOrdering: name === "ordered",
        labels: { of: name },
      });
    }
  }

  /** Publishes until `over`; adds what was confirmed. */
  async publish(over: AbortSignal, next: () => Batch, confirmed: Set<string>): Promise<void> {
    while (!over.aborted) {
      const { orderingKey, texts } = next();
      const messages = texts.map((text) => ({ data: Buffer.from(text), orderingKey }));
      try {
        const options = { timeout: 5_000, maxRetries: 0, isBundling: false };
        const [response] = await this.publisher.publish({ topic, messages }, options);
        if (response.messageIds?.length === texts.length) for (const text of texts) confirmed.add(text);
      } catch {
        return; // killed: of these nothing is known
      }
    }
  }

  consume(name: string, seen: string[]): () => Promise<void> {
    const subscription = this.client.subscription(name, { closeOptions: { behavior: "NACK" } as never });
    subscription.on("message", (m: Message) => {
      seen.push(m.data.toString());
      m.ack();
    });
    subscription.on("error", () => undefined);
    return () => subscription.close();
  }

  async close(): Promise<void> {
    await Promise.allSettled([this.client.close(), this.publisher.close()]);
  }
}

async function untilMore(set: ReadonlySet<string>, before: number): Promise<void> {
  while (set.size === before) await sleep(5);
}

describe("kill -9 of the Pub/Sub emulator during publishing", () => {
  it(
    `loses nothing that was confirmed, and no subscription, in ${kills} kills`,
    async () => {
      const seed = randomInt(2 ** 31);
      console.log(`seed ${seed}`);
      const random = seededRandom(seed);
      const options = { directory: join(folder, "state"), port: await freePort() };
      const confirmed = new Set<string>();
      const seen = new Map(subscriptions.map((name) => [name, [] as string[]]));
      let count = 0;
      const next = () => {
        const orderingKey = random() < 0.5 ? "a" : "b";
        return { orderingKey, texts: Array.from({ length: 20 }, () => `${(count += 1)}-${orderingKey}`) };
      };
      for (let kill = 0; kill < kills; kill += 1) {
        const emulator = await EmulatorProcess.start(folder, options);
        const clients = new Clients(emulator.address);
        if (kill === 0) await clients.create();
        clients.consume("busy", seen.get("busy") ?? []);
        const over = new AbortController();
        const publishing = Promise.all([1, 2, 3].map(() => clients.publish(over.signal, next, confirmed)));
        const before = confirmed.size;
        await Promise.race([sleep(5_000), untilMore(confirmed, before)]);
        await sleep(random() * 200);
        await emulator.end("SIGKILL");
        over.abort();
        await publishing;
        await clients.close();
      }
      const emulator = await EmulatorProcess.start(folder, options);
      const clients = new Clients(emulator.address);
      for (const name of subscriptions) {
        const [metadata] = await clients.client.subscription(name).getMetadata();
        expect(metadata).toMatchObject({ topic, labels: { of: name }, enableMessageOrdering: name === "ordered" });
      }
      const stops = subscriptions.map((name) => clients.consume(name, seen.get(name) ?? []));
      const missing = () =>
        subscriptions.map((name) => {
          const there = new Set(seen.get(name));
          return [...confirmed].filter((text) => !there.has(text)).length;
        });
      const end = Date.now() + 120_000;
      while (Date.now() < end && missing().some((n) => n > 0)) await sleep(500);
      expect(missing()).toEqual([0, 0, 0]);
      expect(confirmed.size).toBeGreaterThan(kills * 20);
      console.log(`${confirmed.size} confirmed messages, ${count} sent`);
      await Promise.all(stops.map((stop) => stop()));
      await clients.close();
      await emulator.end("SIGTERM");
    },
    30 * 60_000,
  );
});
