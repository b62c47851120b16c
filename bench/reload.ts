import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { PubSub } from "@google-cloud/pubsub";
import { encodeMessage, requestMessage } from "@klio/runtime/message";
import { median, type Row } from "./measure.js";

const saves = 21;
/** Between two messages, and with that the resolution. */
const everyMs = 10;
/** Between two saves. */
const pauseMs = 1_500;

/** From saving a source file to the first message that the new code has processed, in `klio job run --watch`. */
export async function reload(root: string): Promise<Row[]> {
  const klio = join(root, "bin/run.js");
  const home = mkdtempSync(join(tmpdir(), "klio-bench-"));
  const env = { ...process.env, HOME: home, XDG_STATE_HOME: undefined };
  const job = join(home, "job");
  const flags = ["--job-name", "bench-job", "--gcp-project", "bench-project", "--use-defaults", "--no-install"];
  execFileSync(process.execPath, [klio, "job", "create", ...flags, "--output", job], { env, stdio: "ignore" });
  const run = spawn(process.execPath, [klio, "job", "run", "--direct-runner", "--watch", "--json"], {
    cwd: job,
    env,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const ended = new Promise((resolve) => run.once("close", resolve));
  const seen = new Map<string, () => void>();
  const pubsub = await new Promise<string>((resolve) => {
    createInterface({ input: run.stdout }).on("line", (line) => {
      const event = JSON.parse(line) as { event: string; pubsub?: string; message?: string };
      if (event.event === "ready") resolve(event.pubsub ?? "");
      if (event.event === "log") seen.get(event.message ?? "")?.();
    });
  });
  const client = new PubSub({ projectId: "bench-project", apiEndpoint: pubsub, emulatorMode: true });
  const samples = await measure(client, join(job, "src/transforms.ts"), seen);
  await client.close();
  run.kill("SIGTERM");
  await ended;
  rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  samples.sort((a, b) => a - b);
  const [p50, p90] = [median(samples), samples[Math.floor(samples.length * 0.9)] ?? NaN];
  return [
    { what: "save → first message, p50", klio: p50, peer: undefined, unit: "ms", reach: "≤ 500 ms" },
    { what: "save → first message, p90", klio: p90, peer: undefined, unit: "ms", reach: "–" },
  ];
}

async function measure(client: PubSub, file: string, seen: Map<string, () => void>): Promise<number[]> {
  const topic = client.topic("bench-job-input", { batching: { maxMilliseconds: 1 } });
  const original = readFileSync(file, "utf8");
  let sent = 0;
  const flow = setInterval(() => {
    sent += 1;
    void topic.publishMessage({ data: encodeMessage(requestMessage({ element: `m${sent}` })) });
  }, everyMs);
  const samples: number[] = [];
  for (let save = 1; save <= saves; save += 1) {
    await sleep(pauseMs);
    const first = new Promise<void>((resolve) => {
      seen.set(`version ${save}`, resolve);
    });
    const started = Date.now();
    writeFileSync(file, original.replace("`received ${item.element}`", `"version ${save}"`));
    await first;
    samples.push(Date.now() - started);
  }
  clearInterval(flow);
  return samples;
}
