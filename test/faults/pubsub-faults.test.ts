import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Message, PubSub, type v1 } from "@google-cloud/pubsub";
import { type FaultEvent, type Faults, type PubSubEvent, startPubSub } from "@klio/emulators";
import { describe, expect, it } from "vitest";
import { Context } from "../conformance/pubsub/context.js";
import { freePort } from "../support/targets.js";

process.env["METADATA_SERVER_DETECTION"] = "none";
const count = 300;
const unavailableCode = 14;

interface RunOptions {
  /** How long publishing is waited for when the last was handed over. */
  readonly patienceMs?: number;
  /** Where the emulator keeps what it has. */
  readonly directory?: string;
}

interface Outcome {
  readonly seen: readonly string[];
  readonly published: readonly string[];
  readonly struck: readonly FaultEvent[];
  readonly events: readonly PubSubEvent[];
}

/**
 * Publishes and consumes through the official client until everything has come, with faults. Of a publish request that is refused four
 * times in a row the client makes the fifth after six seconds, and the sixth after half a minute.
 */
async function run(faults: Faults, { patienceMs = 130_000, directory }: RunOptions = {}): Promise<Outcome> {
  const struck: FaultEvent[] = [];
  const events: PubSubEvent[] = [];
  const emulator = await startPubSub({
    faults,
    onFault: (fault) => struck.push(fault),
    observe: (event) => events.push(event),
    port: await freePort(), // a restart gives it up and takes it again
    ...(directory === undefined ? {} : { directory }),
  });
  const client = new PubSub({ projectId: "fault-project", apiEndpoint: emulator.address, emulatorMode: true });
  const [topic] = await client.createTopic("faulty");
  const [subscription] = await topic.createSubscription("faulty-s", { ackDeadlineSeconds: 10 });
  const seen: string[] = [];
  subscription.on("message", (m: Message) => {
    seen.push(m.data.toString());
    m.ack();
  });
  const published: string[] = [];
  const publishing: Promise<unknown>[] = [];
  for (let i = 0; i < count; i += 1) {
    const confirmed = topic.publishMessage({ data: Buffer.from(`${i}`) }).then(() => published.push(`${i}`));
    publishing.push(confirmed.catch(() => undefined)); // of what was not confirmed nothing is promised
    await sleep(3);
  }
  await Promise.race([Promise.all(publishing), sleep(patienceMs, undefined, { ref: false })]);
  published.sort((a, b) => Number(a) - Number(b));
  const end = Date.now() + 20_000;
  while (!published.every((text) => seen.includes(text)) && Date.now() < end) await sleep(50);
  await sleep(faults.loseAck === undefined ? 500 : 12_000); // what was forgotten comes again after its deadline
  await subscription.close();
  await client.close();
  await emulator.close();
  return { seen, published, struck, events };
}

/** What was confirmed and did not come. */
const missing = ({ seen, published }: Outcome) => published.filter((text) => !seen.includes(text));

describe("a fault that is asked for", () => {
  it.each<[keyof Faults, Faults, (outcome: Outcome) => void]>([
    [
      "duplicate",
      { duplicate: 0.2 },
      ({ seen }) => {
        expect(seen.length).toBeGreaterThan(count + 20);
      },
    ],
    [
      "reorder",
      { reorder: 0.2 },
      ({ seen, published }) => {
        expect(seen).not.toEqual(published);
      },
    ],
    [
      "delay",
      { delay: 0.2, delayMs: 700 },
      ({ seen, published }) => {
        expect(seen).not.toEqual(published);
      },
    ],
    [
      "expireDeadline",
      { expireDeadline: 0.2 },
      ({ events }) => {
        expect(events.some((e) => e.kind === "deadline")).toBe(true);
      },
    ],
    [
      "loseAck",
      { loseAck: 0.2 },
      ({ seen }) => {
        expect(seen.length).toBeGreaterThan(count);
      },
    ],
    ["unavailable", { unavailable: 0.2 }, () => undefined],
    // Fewer responses than messages come: with this seed the fourth reset is after the fourteenth.
    ["resetStream", { seed: 28, resetStream: 0.1 }, () => undefined],
  ])(
    "strikes, and the official client gets everything all the same: %s",
    async (kind, faults, check) => {
      const outcome = await run({ seed: 11, ...faults });
      expect(outcome.struck.length).toBeGreaterThan(3);
      expect(outcome.struck.every((s) => s.fault === kind)).toBe(true);
      expect(missing(outcome)).toEqual([]);
      expect(outcome.published).toHaveLength(count);
      check(outcome);
    },
    200_000,
  );

  it("restarts the emulator, on disk and in memory", async () => {
    const folder = await mkdtemp(join(tmpdir(), "klio-restart-"));
    for (const where of [{}, { directory: folder }]) {
      const outcome = await run({ seed: 3, restart: 0.2 }, { patienceMs: 8_000, ...where });
      expect(outcome.struck.length).toBeGreaterThan(1);
      expect(missing(outcome)).toEqual([]);
      expect(outcome.published.length).toBeGreaterThan(count / 10); // restarts refuse a part of them
    }
    await rm(folder, { recursive: true });
  }, 150_000);

  it("strikes at the same requests again, with the same seed", async () => {
    const history = async (seed: number) => {
      const struck: string[] = [];
      const emulator = await startPubSub({
        faults: { seed, unavailable: 0.3 },
        onFault: ({ fault, opportunity }) => struck.push(`${fault} ${opportunity}`),
      });
      const context = new Context(emulator.address);
      const topic = await context.topic();
      const codes: unknown[] = [];
      for (let i = 0; i < 60; i += 1) {
        const publisher: InstanceType<typeof v1.PublisherClient> = context.publisher;
        const request = { topic, messages: [{ data: Buffer.from(`${i}`) }] };
        codes.push(
          await publisher.publish(request, { timeout: 5_000, maxRetries: 0 }).then(
            () => 0,
            () => unavailableCode,
          ),
        );
      }
      await context.close();
      await emulator.close();
      expect(codes.filter((code) => code === unavailableCode)).toHaveLength(struck.length);
      return struck;
    };
    const first = await history(5);
    expect(first.length).toBeGreaterThan(5);
    expect(await history(5)).toEqual(first);
    expect(await history(6)).not.toEqual(first);
  });

  it("can be changed while the emulator runs, and refuses what is no probability", async () => {
    const struck: FaultEvent[] = [];
    const emulator = await startPubSub({ onFault: (fault) => struck.push(fault) });
    const context = new Context(emulator.address);
    const { topic, subscription } = await context.pair();
    await context.publish(topic, "a");
    expect(struck).toEqual([]);
    emulator.setFaults({ duplicate: 1 });
    await context.publish(topic, "b");
    expect(await context.pull(subscription, 3)).toHaveLength(3);
    expect(struck.map((s) => s.fault)).toContain("duplicate");
    expect(() => {
      emulator.setFaults({ loseAck: 1.5 });
    }).toThrow("a probability is 0 to 1");
    await context.close();
    await emulator.close();
  });
});
