import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startStorage } from "@klio/emulators";
import { root } from "./rig.js";
import { freePort } from "./targets.js";

export interface StorageServer {
  readonly url: string;
  /** When it is a process of its own. */
  readonly pid?: number;
  close(): Promise<void>;
}

export interface StorageTarget {
  readonly name: string;
  /** Why it cannot run here; undefined when it can. */
  readonly missing: string | undefined;
  /** klio's own, which keeps to the documentation. */
  readonly own: boolean;
  /** `backend` is where the peer keeps objects; memory unless said. */
  start(backend?: "memory" | "filesystem"): Promise<StorageServer>;
}

/** The newest version of it at the time of writing. */
export const peerVersion = "v1.56.1";
const binary = process.env["FAKE_GCS_SERVER"] ?? join(root, "node_modules/.cache/klio/go/fake-gcs-server");

/** The embedded emulator, and fake-gcs-server where it was installed. In CI a missing one fails the suite. */
export const storageTargets: readonly StorageTarget[] = [
  { name: "klio's emulator", missing: undefined, own: true, start: startOwn },
  {
    name: `fake-gcs-server ${peerVersion}`,
    missing: existsSync(binary) ? undefined : "fake-gcs-server is missing: node scripts/test-tools.mjs",
    own: false,
    start: startPeer,
  },
];

async function startOwn(): Promise<StorageServer> {
  const folder = await mkdtemp(join(tmpdir(), "klio-storage-"));
  const emulator = await startStorage({ root: folder });
  return {
    url: emulator.url,
    close: async () => {
      await emulator.close();
      await rm(folder, { recursive: true });
    },
  };
}

async function startPeer(backend: "memory" | "filesystem" = "memory"): Promise<StorageServer> {
  const folder = await mkdtemp(join(tmpdir(), "klio-peer-"));
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const args = ["-scheme", "http", "-host", "127.0.0.1", "-port", String(port), "-backend", backend];
  const urls = ["-filesystem-root", folder, "-public-host", address, "-external-url", `http://${address}`];
  const child = spawn(binary, [...args, ...urls, "-log-level", "error"], { stdio: "ignore" });
  await untilReady(`http://${address}`, child);
  return {
    url: `http://${address}`,
    ...(child.pid === undefined ? {} : { pid: child.pid }),
    close: async () => {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function untilReady(url: string, child: ChildProcess): Promise<void> {
  for (let i = 0; i < 200; i += 1) {
    if (child.exitCode !== null) throw new Error(`fake-gcs-server ended with ${child.exitCode}`);
    if (
      await fetch(`${url}/storage/v1/b?project=p`).then(
        () => true,
        () => false,
      )
    )
      return;
    await sleep(50);
  }
  throw new Error("fake-gcs-server does not answer");
}
