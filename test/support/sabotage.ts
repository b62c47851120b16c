import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { BuildOptions, Plugin } from "esbuild";
import { root } from "./rig.js";

const { bundle, requireBanner } = (await import(join(root, "scripts/packaging.mjs"))) as {
  bundle: (entry: string, outfile: string, options: BuildOptions) => Promise<readonly string[]>;
  requireBanner: { js: string };
};

/** A change of the runtime that takes a promise away. */
export interface Sabotage {
  /** Below `packages/runtime/src`. */
  readonly file: string;
  /** Is there exactly once. */
  readonly text: string;
  readonly instead: string;
}

/** Bundles the runtime with a change into `folder`, beside what of it stays as it ships. Throws when the text is not there once. */
export async function sabotagedRuntime(folder: string, sabotage: Sabotage): Promise<string> {
  const source = join(root, "packages/runtime/src");
  cpSync(join(root, "dist/runtime"), folder, { recursive: true });
  const changed: string[] = [];
  const plugin: Plugin = {
    name: "sabotage",
    setup(build) {
      build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        if (path !== join(source, sabotage.file)) return undefined;
        const parts = readFileSync(path, "utf8").split(sabotage.text);
        if (parts.length !== 2) throw new Error(`${sabotage.file} has it ${parts.length - 1} times: ${sabotage.text}`);
        changed.push(path);
        return { contents: parts.join(sabotage.instead), loader: "ts" };
      });
    },
  };
  for (const entry of ["supervisor", "worker"]) {
    const options = { banner: requireBanner, plugins: [plugin] };
    await bundle(join(source, entry, "main.ts"), join(folder, `${entry}.js`), options);
  }
  if (changed.length === 0) throw new Error(`nothing of the runtime loads ${sabotage.file}`);
  return folder;
}
