import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PubSub } from "@google-cloud/pubsub";
import { startPubSub } from "@klio/emulators";

export interface Broker {
  readonly address: string;
  /** When it is a process of its own. */
  readonly pid?: number;
  close(): Promise<void>;
}

export interface BrokerTarget {
  readonly name: string;
  /** Why it cannot run here; undefined when it can. */
  readonly missing: string | undefined;
  /** klio's own, which keeps to the documentation. */
  readonly own: boolean;
  /** `port`: only there, with nothing of what another one had. Default: any free port. */
  start(port?: number): Promise<Broker>;
}

/** The embedded emulator, and Google's where the Cloud SDK and Java are installed. In CI a missing one fails the suite. */
export const brokerTargets: readonly BrokerTarget[] = [
  {
    name: "klio's emulator",
    missing: undefined,
    own: true,
    start: (port) => startPubSub(port === undefined ? {} : { port }),
  },
  { name: "Google's emulator", missing: missingGoogle(), own: false, start: startGoogle },
];

function emulatorJar(): string | undefined {
  if (process.env["PUBSUB_EMULATOR_JAR"] !== undefined) return process.env["PUBSUB_EMULATOR_JAR"];
  try {
    const root = execFileSync("gcloud", ["info", "--format=value(installation.sdk_root)"], { encoding: "utf8" }).trim();
    const jar = join(root, "platform/pubsub-emulator/lib/cloud-pubsub-emulator-0.8.20-all.jar");
    return existsSync(jar) ? jar : undefined;
  } catch {
    return undefined;
  }
}

function missingGoogle(): string | undefined {
  if (emulatorJar() === undefined) return "the Cloud SDK's Pub/Sub emulator is not installed";
  try {
    execFileSync("java", ["-version"], { stdio: "ignore" });
    return undefined;
  } catch {
    return "Java is not installed";
  }
}

/** A port that may be given up and taken again: below those that the system gives to whoever asks for any. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = randomInt(20_000, 32_000);
    if (await isFree(port)) return port;
  }
  throw new Error("no port");
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => {
      resolve(false);
    });
    server.listen(port, "127.0.0.1", () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}

async function startGoogle(wanted?: number): Promise<Broker> {
  const jar = emulatorJar();
  if (jar === undefined) throw new Error(missingGoogle());
  const port = wanted ?? (await freePort());
  const child = spawn("java", ["-jar", jar, "--host=127.0.0.1", `--port=${port}`], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-2_000)));
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const close = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  try {
    await untilAnswers(port, child);
  } catch (error) {
    await close();
    throw new Error(`Google's emulator on port ${port} did not start; it said:\n${said}`, { cause: error });
  }
  return { address: `127.0.0.1:${port}`, ...(child.pid === undefined ? {} : { pid: child.pid }), close };
}

/** Until it listens, and then until it answers: a client that is there before it listens waits longer between its tries each time. */
async function untilAnswers(port: number, child: ChildProcess): Promise<void> {
  const until = Date.now() + 100_000;
  await retried(until, child, () => connected(port));
  const client = new PubSub({ projectId: "probe-project", apiEndpoint: `127.0.0.1:${port}`, emulatorMode: true });
  try {
    // This only reads: a call that makes something may have made it when its answer comes too late.
    await retried(until, child, () => client.topic("probe").getMetadata({ timeout: 2_000 }).catch(unlessNotFound));
  } finally {
    await client.close();
  }
}

async function retried(until: number, child: ChildProcess, attempt: () => Promise<unknown>): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
    try {
      await attempt();
      return;
    } catch (error) {
      if (Date.now() > until) throw error;
      await sleep(250);
    }
  }
}

function connected(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve();
    });
    socket.once("error", reject);
  });
}

/** 5 is NOT_FOUND: https://grpc.io/docs/guides/status-codes/ */
function unlessNotFound(error: unknown): void {
  if (!(error instanceof Error && "code" in error && error.code === 5)) throw error;
}
