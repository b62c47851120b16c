import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
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
  const child = spawn("java", ["-jar", jar, "--host=127.0.0.1", `--port=${port}`], { stdio: "ignore" });
  const address = `127.0.0.1:${port}`;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const close = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  try {
    await untilReady(address, child);
  } catch (error) {
    await close();
    throw error;
  }
  return { address, ...(child.pid === undefined ? {} : { pid: child.pid }), close };
}

async function untilReady(address: string, child: ChildProcess): Promise<void> {
  const [host, port] = address.split(":");
  const client = new PubSub({ projectId: "probe-project", apiEndpoint: `${host}:${port}`, emulatorMode: true });
  for (let i = 0; i < 400; i += 1) {
    if (child.exitCode !== null) throw new Error(`the emulator ended with ${child.exitCode}`);
    try {
      await client.topic("probe").create({ timeout: 2_000 });
      await client.close();
      return;
    } catch {
      await sleep(250);
    }
  }
  throw new Error("the emulator did not answer within 100 s");
}
