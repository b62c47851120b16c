import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { Rig, type RigOptions, root } from "../support/rig.js";
import { type Broker, brokerTargets } from "../support/targets.js";
import { expectAllInCi } from "../support/tools.js";

const google = brokerTargets.find((target) => !target.own);
const missing = google?.missing;
expectAllInCi([{ missing }]);

let rig: Rig;
let broker: Broker;

afterEach(() => rig.close());

// Google's emulator misroutes for about a minute after each consumer's end: one consumer of each subscription, to the end.
async function start(options: Partial<RigOptions> = {}): Promise<void> {
  rig = await Rig.start({
    job: join(root, "test/fixtures/jobs/faults"),
    broker: async () => {
      if (google === undefined) throw new Error("there is no such target");
      broker = await google.start();
      return { address: broker.address, close: () => broker.close() };
    },
    ...options,
  });
  await rig.run();
}

/** The same as noted by an embedded broker: what is published to outputs and dead letters, as it is received there. */
function noteOutputs(): void {
  for (const resource of ["fault-out", "fault-dead"]) {
    const subscription = rig.client.subscription(`${resource}-sub`);
    subscription.on("message", (m: { id: string; attributes: Record<string, string>; length: number; ack(): void }) => {
      const { id: messageId, attributes, length: bytes } = m;
      const event = { kind: "publish", resource, messageId, attributes, orderingKey: "", bytes } as const;
      rig.ledger.append({ source: "broker", ...event });
      m.ack();
    });
    subscription.on("error", () => undefined); // a broker that is restarted knows it no more
  }
}

const told = (messages: number) =>
  rig.until(() => rig.outcomes().length >= messages, `${messages} messages are told of`, 90_000);

/** Waits until each of these elements has its output message, or its dead letter. */
async function untilPublished(outputs: number, dead: number): Promise<void> {
  const ids = (resource: string) => new Set(rig.of("publish", resource).map((e) => e.attributes["klio-id"])).size;
  const done = () => ids("fault-out") >= outputs && ids("fault-dead") >= dead;
  await rig.until(
    done,
    () => `${ids("fault-out")} of ${outputs} outputs, ${ids("fault-dead")} of ${dead} dead letters`,
  );
}

describe.skipIf(missing !== undefined)(`with Google's emulator ${missing ?? ""}`, () => {
  it("a worker that is killed costs nothing but an attempt", async () => {
    await start();
    noteOutputs();
    const elements = ["kill.worker.midUpload-1", "kill.worker.afterUpload-1", "ok-1", "ok-2", "big-1"];
    await rig.publish(elements);
    await told(elements.length);
    await untilPublished(elements.length, 0);
    expect(await rig.stop()).toBe(0);
    expect(rig.outcomes("processed")).toHaveLength(elements.length);
    expect(rig.writes().sort()).toEqual(elements.map((element) => `job/${element}`).sort());
    expect(rig.check()).toEqual([]);
  }, 120_000);

  it("a poison message becomes a dead letter after its attempts, beside good ones", async () => {
    await start();
    noteOutputs();
    const elements = ["throw-1", "ok-1", "ok-2", "ok-3"];
    await rig.publish(elements);
    await told(elements.length);
    await untilPublished(3, 1);
    expect(await rig.stop()).toBe(0);
    expect(rig.outcomes("dead-letter")).toMatchObject([{ element: "throw-1", attempts: 3 }]);
    expect(rig.check()).toEqual([]);
  }, 120_000);

  it("a broker that comes back with nothing gets its topics again, and the job goes on by itself", async () => {
    await start({ environment: { SLOW_MS: "500" } });
    await rig.publish(["ok-1", "ok-2"]);
    await told(2);
    await broker.close();
    await sleep(1_000);
    const port = Number(broker.address.split(":").at(-1));
    broker = (await google?.start(port)) ?? broker;
    await rig.reconnect();
    await rig.createResources();
    noteOutputs();
    const since = Date.now();
    // It counts its ids from 1 again.
    for (const element of ["ok-3", "ok-4"]) await rig.publish([element], { klioId: `again-${element}` });
    await told(4);
    console.log(`done again ${((Date.now() - since) / 1_000).toFixed(2)} s after its topics were there`);
    await untilPublished(2, 0);
    expect(await rig.stop()).toBe(0);
    expect(rig.outcomes("processed")).toHaveLength(4);
    expect(rig.check()).toEqual([]);
  }, 180_000);
});
