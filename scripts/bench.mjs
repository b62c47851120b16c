// Compiles the benchmarks and runs them.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const root = join(import.meta.dirname, "..");
const outdir = join(root, "node_modules/.cache/klio/bench");
const peers = readdirSync(join(root, "bench/peers"))
  .filter((file) => file.endsWith(".ts"))
  .map((file) => `peers/${file.slice(0, -3)}`);
await build({
  entryPoints: ["run", "emulators-process", ...peers].map((f) => join(root, `bench/${f}.ts`)),
  entryNames: "[name]",
  outdir,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  target: "node20.19",
  format: "esm",
  external: ["esbuild", "@google-cloud/*", "google-gax", "@node-rs/crc32"],
  // The tests' support finds the repository from where it lies.
  define: { "import.meta.dirname": JSON.stringify(join(root, "test/support")) },
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
});
process.chdir(root);
await import(join(outdir, "run.mjs"));
