import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PubSub } from "@google-cloud/pubsub";
import { encodeMessage, requestMessage } from "@klio/runtime/message";
import fc from "fast-check";
import { afterEach, beforeEach, expect, it } from "vitest";
import { starts } from "../support/batch-job.js";
import { illegalEvents, type Running, User } from "../support/klio.js";

let user: User;

beforeEach(async () => {
  user = await User.create();
});

afterEach(() => user.remove());

const saves = 100;
/** Messages that may wait for their end: what a slow machine is behind with must be done in the end, too. */
const maxOpen = 500;

/** A transform that notes each start of itself, works a little, and says which version of the code made its output. */
const code = (version: number) => `import { appendFileSync } from "node:fs";
import { defineTransform } from "@klio/runtime";

export const greet = (_: { readonly greeting: string }) =>
  defineTransform("greet", {
    async process(item, ctx) {
      appendFileSync("starts.log", item.element + "\\n");
      await new Promise((resolve) => setTimeout(resolve, 30));
      await ctx.upload(item, "version ${version}");
      return item.with("${version}");
    },
  });
`;

/** `done` counts the messages that have their end. */
async function publishUntil(stop: AbortSignal, client: PubSub, done: () => number): Promise<string[]> {
  const topic = client.topic("my-job-input", { batching: { maxMilliseconds: 1 } });
  const elements: string[] = [];
  const published: Promise<string>[] = [];
  while (!stop.aborted) {
    if (elements.length - done() < maxOpen) {
      const element = `m${elements.length}`;
      elements.push(element);
      published.push(topic.publishMessage({ data: encodeMessage(requestMessage({ element })) }));
    }
    await sleep(15);
  }
  await Promise.all(published);
  return elements;
}

async function saveAll(run: Running, transforms: string, random: readonly number[]): Promise<void> {
  for (let version = 1; version <= saves; version += 1) {
    const reloads = () => run.events().filter((e) => e.event === "reloaded").length;
    const before = reloads();
    writeFileSync(transforms, code(version));
    // Now and then the next save comes before the last one is in service, or before it was even noticed.
    const chance = random[version - 1] ?? 1;
    if (chance < 30) await sleep(2 * chance);
    else await until(() => reloads() > before, `save ${version} in service`, run);
  }
}

it(`of ${saves} saves under load none loses a message or repeats one`, async () => {
  const seed = Number(process.env["KLIO_SEED"] ?? Date.now() % 1e9);
  console.log(`seed ${seed}`);
  const job = await user.job("my-job");
  const transforms = join(job, "src/transforms.ts");
  writeFileSync(transforms, code(0));
  const run = user.start(["job", "run", "--direct-runner", "--watch", "--json"], job);
  const ready = await run.untilEvent({ event: "ready" });
  const client = new PubSub({ projectId: "test-project", apiEndpoint: String(ready["pubsub"]), emulatorMode: true });
  const [sink] = await client.topic("my-job-output").createSubscription("sink");
  const sent: string[] = [];
  sink.on("message", (message) => {
    sent.push(message.attributes["klio-id"] ?? "");
    message.ack();
  });

  const stop = new AbortController();
  const publishing = publishUntil(stop.signal, client, () => sent.length);
  await saveAll(run, transforms, fc.sample(fc.noBias(fc.integer({ min: 0, max: 99 })), { seed, numRuns: saves }));
  const version = (element: string) =>
    Number(readFileSync(join(job, ".klio/storage/test-project-output/my-job", `${element}.txt`), "utf8").split(" ")[1]);
  const latest = () => run.events().findLast((e) => e.event === "outcome")?.["element"];
  await until(() => version(String(latest())) === saves, "the last save in service", run);
  stop.abort();
  const elements = await publishing;
  const told = () => run.events().filter((e) => e.event === "outcome").length;
  await until(() => told() >= elements.length && sent.length >= elements.length, "every message done", run);

  const outcomes = run.events().filter((e) => e.event === "outcome");
  expect(outcomes.filter((e) => e["outcome"] !== "processed")).toEqual([]);
  expect(outcomes.map((e) => e["element"]).sort()).toEqual([...elements].sort());
  expect([...starts(job)].filter(([, n]) => n !== 1)).toEqual([]);
  expect(starts(job).size).toBe(elements.length);
  expect(new Set(sent).size).toBe(elements.length);
  expect(sent.length).toBe(elements.length);
  expect(run.events().filter((e) => e.event === "change-refused")).toEqual([]);
  // A save empties the file first; on a busy machine a build may see it so. The next one must come by itself.
  const failed = run.events().findLastIndex((e) => e.event === "reload-failed" && e["code"] !== "RELOAD_SUPERSEDED");
  expect(run.events().findLastIndex((e) => e.event === "reloaded")).toBeGreaterThan(failed);

  const versions = elements.map(version);
  const reloads = run.events().filter((e) => e.event === "reloaded").length;
  console.log(`${elements.length} messages through ${new Set(versions).size} versions, ${reloads} reloads`);
  expect(versions.at(-1)).toBe(saves);
  expect(new Set(versions).size).toBeGreaterThan(saves / 4);

  expect(illegalEvents(run.events())).toEqual([]);
  await client.close();
  expect((await run.stop()).code).toBe(0);
  expect(await user.processesLeft()).toEqual([]);
  expect(user.leftovers()).toEqual([]);
}, 600_000);

async function until(condition: () => boolean, what: string, run: Running): Promise<void> {
  const end = Date.now() + 60_000;
  while (!condition()) {
    if (Date.now() > end) {
      const tail = run
        .events()
        .filter((e) => e.event !== "outcome")
        .slice(-12);
      throw new Error(`waited in vain for: ${what}\n${tail.map((e) => JSON.stringify(e)).join("\n")}\n${run.stderr}`);
    }
    await sleep(50);
  }
}
