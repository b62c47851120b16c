import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PubSub } from "@google-cloud/pubsub";
import { loadConfig } from "@klio/config";
import { startPubSub } from "@klio/emulators";
import { encodeMessage, requestMessage } from "@klio/runtime/message";
import { buildJob } from "../src/jobs/index.js";
import { median, type Row, treeCpu } from "./measure.js";

const rounds = 5;
const messages = 10_000;
const project = "bench-project";

interface Result {
  /** Microseconds of processor time for each message, all processes together. */
  readonly cpu: number;
  /** Messages a second. */
  readonly rate: number;
}

/** The no-op job (supervisor and a worker process) against a loop written by hand, 1 KiB messages, in turns. */
export async function noopJob(root: string): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), "klio-bench-"));
  const build = await buildNoop(root, folder);
  const klio: Result[] = [];
  const peer: Result[] = [];
  const runtime = [join(root, "dist/runtime/bin.js"), "run", build];
  const loop = [
    join(process.cwd(), "node_modules/.cache/klio/bench/peer-loop.mjs"),
    project,
    "noop-in-sub",
    "noop-out",
  ];
  for (let round = 0; round < rounds; round += 1) {
    klio.push(await measure(runtime, '"event":"ready"'));
    peer.push(await measure(loop, "ready"));
  }
  rmSync(folder, { recursive: true, force: true });
  const [cpu, peerCpu] = [klio, peer].map((r) => median(r.map((x) => x.cpu)));
  const [rate, peerRate] = [klio, peer].map((r) => median(r.map((x) => x.rate)));
  return [
    { what: "no-op job, CPU for each message", klio: cpu ?? NaN, peer: peerCpu, unit: "µs", reach: "≤ 1.25×" },
    { what: "no-op job, messages a second", klio: rate ?? NaN, peer: peerRate, unit: "/s", reach: "–" },
  ];
}

async function buildNoop(root: string, folder: string): Promise<string> {
  const text = `job_name: noop
pipeline_options: {project: ${project}}
job_config:
  workers: {count: 1, concurrency: 500}
  delivery: {dead_letter: none}
  events:
    inputs: [{type: pubsub, topic: projects/${project}/topics/noop-in, subscription: projects/${project}/subscriptions/noop-in-sub}]
    outputs: [{type: pubsub, topic: projects/${project}/topics/noop-out}]
`;
  const { config } = loadConfig({ file: "klio-job.yaml", text });
  if (config === undefined) throw new Error("the no-op job's configuration is wrong");
  const { cpSync } = await import("node:fs");
  cpSync(join(root, "bench/jobs/noop"), folder, { recursive: true });
  const job = { directory: folder, configFile: "", config, warnings: [] };
  return (await buildJob(job, join(root, "dist/runtime"))).directory;
}

async function measure(args: readonly string[], ready: string): Promise<Result> {
  let acknowledged = 0;
  const broker = await startPubSub({
    observe: (event) => {
      if (event.kind === "acknowledge") acknowledged += 1;
    },
  });
  const client = new PubSub({ projectId: project, apiEndpoint: broker.address, emulatorMode: true });
  await client.createTopic("noop-in");
  await client.createTopic("noop-out");
  await client.topic("noop-in").createSubscription("noop-in-sub", { ackDeadlineSeconds: 60 });
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, PUBSUB_EMULATOR_HOST: broker.address, METADATA_SERVER_DETECTION: "none" },
  });
  await untilPrinted(child, ready);
  const pid = child.pid ?? 0;
  const message = requestMessage({ element: "x".repeat(16) });
  if (message.data !== undefined) message.data.payload = Buffer.alloc(1_000, "p");
  const data = Buffer.from(encodeMessage(message));
  const cpu = treeCpu(pid);
  const started = Date.now();
  const topic = client.topic("noop-in");
  await Promise.all(Array.from({ length: messages }, () => topic.publishMessage({ data })));
  while (acknowledged < messages) await sleep(5);
  const seconds = (Date.now() - started) / 1_000;
  const used = treeCpu(pid) - cpu;
  child.kill("SIGKILL");
  await client.close();
  await broker.close();
  await sleep(300);
  return { cpu: (used / messages) * 1e6, rate: messages / seconds };
}

async function untilPrinted(child: ChildProcess, text: string): Promise<void> {
  await new Promise<void>((resolve) => {
    child.stdout?.on("data", (chunk: Buffer) => {
      if (chunk.includes(text)) resolve();
    });
  });
  await sleep(500);
}
