import { spawn } from "node:child_process";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";
import { type Event, type Rig, root } from "./rig.js";

/** The built runtime with the worker of fake-worker.ts. Returns its directory. */
export async function makeFakeRuntime(folder: string): Promise<string> {
  const directory = join(folder, "runtime");
  cpSync(join(root, "dist/runtime"), directory, { recursive: true });
  await build({
    entryPoints: [join(root, "test/support/fake-worker.ts")],
    outfile: join(directory, "worker.js"),
    bundle: true,
    platform: "node",
    format: "esm",
    logLevel: "error",
  });
  return directory;
}

/** Runs the rig's job by such a runtime. Resolves when it is ready, or cannot run. */
export async function runFake(rig: Rig, runtime: string, environment: NodeJS.ProcessEnv = {}): Promise<void> {
  const child = spawn(process.execPath, [join(runtime, "bin.js"), "run", rig.build], {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      PUBSUB_EMULATOR_HOST: rig.pubsub.address,
      STORAGE_EMULATOR_HOST: rig.storage.url,
      FAULT_FOLDER: rig.folder,
      TMPDIR: rig.temporary(),
      ...environment,
    },
  });
  rig.process = child;
  createInterface({ input: child.stdout }).on("line", (line) => rig.events.push(JSON.parse(line) as Event));
  createInterface({ input: child.stderr }).on("line", (line) => rig.noise.push(line));
  const before = rig.events.length;
  const told = () => rig.events.slice(before).some((e) => e.event === "ready" || e.event === "fatal");
  await rig.until(told, "the job is ready");
}
