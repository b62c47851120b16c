// Builds everything that ships: protocols, runtime, command line, templates. Run by scripts/setup.mjs when sources changed.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative } from "node:path";
import { build } from "esbuild";
import { buildRuntime } from "./build-runtime.mjs";
import { generateProtocols } from "./generate.mjs";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");
const require = createRequire(import.meta.url);

const common = {
  bundle: true,
  platform: "node",
  target: "node20.19",
  format: "cjs",
  minify: true,
  keepNames: true,
  legalComments: "none",
  logLevel: "warning",
  // Node's own warns at every start of Node 21 and later that it is deprecated.
  alias: { punycode: join(root, "node_modules/punycode/punycode.js") },
  // Code that V8 takes from a cache cannot import() on Node 20 (bin/compile-cache.js).
  supported: { "dynamic-import": false },
  // Native code stays a dependency.
  external: ["esbuild", "@node-rs/crc32"],
  define: { "import.meta.url": "__importMetaUrl", "import.meta.dirname": "__dirname" },
  banner: { js: 'const __importMetaUrl = require("node:url").pathToFileURL(__filename).href;' },
};

/** All commands share one bundled oclif, so that starting one loads it once. */
const sharedOclif = {
  name: "shared-oclif",
  setup(setup) {
    setup.onResolve({ filter: /^@oclif\/core$/ }, ({ importer }) => {
      const command = join(dist, relative(join(root, "src"), importer));
      const up = importer.includes("/src/commands/")
        ? relative(join(command, ".."), join(dist, "oclif.js"))
        : "../../oclif.js";
      return { path: up, external: true };
    });
  },
};

async function buildCommandLine() {
  const commands = readdirSync(join(root, "src/commands"), { recursive: true }).filter((f) => f.endsWith(".ts"));
  rmSync(join(dist, "commands"), { recursive: true, force: true });
  await build({
    ...common,
    entryPoints: [require.resolve("@oclif/core")],
    outfile: join(dist, "oclif.js"),
    external: ["typescript"],
  });
  await build({
    ...common,
    entryPoints: [...commands.map((f) => join(root, "src/commands", f)), join(root, "src/hooks/command-not-found.ts")],
    outbase: join(root, "src"),
    outdir: dist,
    plugins: [sharedOclif],
  });
  await build({ ...common, entryPoints: [join(root, "src/session/process.ts")], outfile: join(dist, "session.cjs") });
  writeFileSync(join(dist, "package.json"), '{ "type": "commonjs" }\n');
}

/** A template is a folder by itself; what it has in common with an example is copied from there. */
function buildTemplates() {
  const target = join(dist, "templates");
  rmSync(target, { recursive: true, force: true });
  cpSync(join(root, "templates"), target, { recursive: true });
  for (const name of readdirSync(target)) {
    const { example } = JSON.parse(readFileSync(join(target, name, "template.json"), "utf8"));
    for (const file of example?.files ?? []) {
      cpSync(join(root, "examples", example.name, file), join(target, name, "files", file), { recursive: true });
    }
  }
}

/** The manifest lets oclif start a command without loading the others. */
async function buildManifest() {
  const path = join(root, "oclif.manifest.json");
  rmSync(path, { force: true });
  const { Config } = require(join(dist, "oclif.js"));
  const config = new Config({ root });
  await config.load();
  const { manifest } = config.plugins.get("@klio/cli");
  writeFileSync(path, JSON.stringify(manifest));
}

const started = Date.now();
mkdirSync(dist, { recursive: true });
generateProtocols();
await buildRuntime();
await buildCommandLine();
buildTemplates();
await buildManifest();
rmSync(join(dist, "cache"), { recursive: true, force: true });
process.stderr.write(`built klio in ${((Date.now() - started) / 1000).toFixed(1)} s\n`);
