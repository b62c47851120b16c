import { cpSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { root } from "./rig.js";

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
