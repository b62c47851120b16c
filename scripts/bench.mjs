// Compiles the benchmarks and runs them.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { build } from "esbuild";

const root = join(import.meta.dirname, "..");
const outdir = join(root, "node_modules/.cache/klio/bench");
await build({
  entryPoints: ["run", "peer-loop"].map((f) => join(root, `bench/${f}.ts`)),
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
execFileSync(process.execPath, [join(outdir, "run.mjs"), ...process.argv.slice(2)], { cwd: root, stdio: "inherit" });
