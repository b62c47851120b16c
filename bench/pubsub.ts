import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Message, PubSub } from "@google-cloud/pubsub";
import { memoryOf } from "../test/support/memory.js";
import { brokerTargets } from "../test/support/targets.js";
import { median, type Row } from "./measure.js";

const rounds = 5;
const messages = 100_000;
const data = Buffer.alloc(1_024, "x");
const mebi = 2 ** 20;

interface Round {
  readonly published: number;
  readonly drained: number;
  /** Bytes. */
  readonly peak: number;
}

/** A server, and how to measure it. */
interface Server {
  readonly address: string;
  readonly pid: number;
  close(): Promise<void>;
}

/** klio's emulator as it ships, in a process of its own, keeping its messages on disk. */
async function startOwn(root: string): Promise<Server & { readonly readyMs: number }> {
  const folder = mkdtempSync(join(tmpdir(), "klio-bench-"));
  const program = join(folder, "emulator.mjs");
  writeFileSync(
    program,
    `import { startPubSub } from ${JSON.stringify(join(root, "dist/emulators/index.js"))};
const { address } = await startPubSub({ directory: ${JSON.stringify(join(folder, "state"))} });
console.log(address);`,
  );
  // Set, it adds 50 ms to every start of Node 20.
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
  const started = performance.now();
  const child = spawn(process.execPath, [program], { stdio: ["ignore", "pipe", "inherit"], env });
  const address = await new Promise<string>((resolve) =>
    child.stdout.once("data", (chunk: Buffer) => {
      resolve(chunk.toString().trim());
    }),
  );
  const readyMs = performance.now() - started;
  return {
    address,
    pid: child.pid ?? 0,
    readyMs,
    close: () =>
      ended(child).then(() => {
        rmSync(folder, { recursive: true });
      }),
  };
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once("exit", () => {
      resolve();
    });
    child.kill("SIGKILL");
  });
}

/** Publishes, then drains and acknowledges, through the official client. Resolves to messages per second. */
async function round({ address, pid }: Server, id: string): Promise<Round> {
  const client = new PubSub({ projectId: "bench-project", apiEndpoint: address, emulatorMode: true });
  const [topic] = await client.createTopic(id, {});
  const [subscription] = await topic.createSubscription(id, { ackDeadlineSeconds: 60 });
  const publishing = performance.now();
  await Promise.all(Array.from({ length: messages }, () => topic.publishMessage({ data })));
  const published = messages / ((performance.now() - publishing) / 1_000);
  const draining = performance.now();
  let seen = 0;
  await new Promise<void>((resolve) => {
    subscription.on("message", (message: Message) => {
      message.ack();
      seen += 1;
      if (seen === messages) resolve();
    });
  });
  await subscription.close(); // sends the last acknowledgements
  const drained = messages / ((performance.now() - draining) / 1_000);
  await topic.delete();
  await subscription.delete();
  await client.close();
  return { published, drained, peak: memoryOf(pid).peak };
}

/** The Pub/Sub rows: klio's emulator against Google's, in turn. */
export async function pubsub(root: string): Promise<Row[]> {
  process.env["METADATA_SERVER_DETECTION"] = "none";
  const google = brokerTargets.find((t) => !t.own);
  if (google === undefined || google.missing !== undefined) throw new Error(google?.missing);
  const starts: number[] = [];
  const idle: number[] = [];
  for (let i = 0; i < rounds; i += 1) {
    const server = await startOwn(root);
    starts.push(server.readyMs);
    idle.push(memoryOf(server.pid).now / mebi);
    await server.close();
  }
  const own = await startOwn(root);
  const started = performance.now();
  const peer = await google.start();
  const peerReady = performance.now() - started;
  const ownRounds: Round[] = [];
  const peerRounds: Round[] = [];
  for (let i = 0; i < rounds; i += 1) {
    ownRounds.push(await round(own, `round-${i}`));
    peerRounds.push(await round({ ...peer, pid: peer.pid ?? 0 }, `round-${i}`));
  }
  await Promise.all([own.close(), peer.close()]);
  const of = (all: readonly Round[], what: keyof Round) => median(all.map((r) => r[what]));
  const peak = (all: readonly Round[]) => Math.max(...all.map((r) => r.peak)) / mebi;
  return [
    { what: "Pub/Sub: ready", klio: median(starts), peer: peerReady, unit: "ms", reach: "≤ 150 ms" },
    { what: "Pub/Sub: memory when ready", klio: median(idle), peer: undefined, unit: "MiB", reach: "≤ 60 MB" },
    {
      what: "Pub/Sub: publish 1 KiB",
      klio: of(ownRounds, "published"),
      peer: of(peerRounds, "published"),
      unit: "/s",
      reach: "",
    },
    {
      what: "Pub/Sub: drain and acknowledge 1 KiB",
      klio: of(ownRounds, "drained"),
      peer: of(peerRounds, "drained"),
      unit: "/s",
      reach: "≥ 3×",
    },
    { what: "Pub/Sub: peak memory", klio: peak(ownRounds), peer: peak(peerRounds), unit: "MiB", reach: "≤ 0.2×" },
  ];
}
