// Builds everything that ships: protocols, runtime, command line, templates. Run by scripts/setup.mjs when sources changed.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative, sep } from "node:path";
import { build } from "esbuild";
import { buildEmulators } from "./build-emulators.mjs";
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

/** What is large: modules of their own, loaded by the commands that need them when they do. By folder in src. */
const lazyModules = { cloud: ["google-pubsub", "google-storage"], session: ["embedded"] };
const lazy = {
  name: "lazy",
  setup(setup) {
    setup.onResolve({ filter: /^\.\/[\w-]+\.js$/ }, ({ path, importer }) => {
      const within = relative(join(root, "src"), importer).split(sep);
      const folder = within.length === 2 ? within[0] : undefined;
      if (!lazyModules[folder]?.includes(path.slice(2, -3))) return undefined;
      // Every bundle that loads one lies two folders below dist.
      return { path: `../../${folder}/${path.slice(2)}`, external: true };
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
    plugins: [sharedOclif, lazy],
  });
  for (const [folder, names] of Object.entries(lazyModules)) {
    const entryPoints = names.map((name) => join(root, `src/${folder}/${name}.ts`));
    await build({ ...common, entryPoints, outdir: join(dist, folder) });
  }
  await build({ ...common, entryPoints: [join(root, "src/session/process.ts")], outfile: join(dist, "session.cjs") });
  writeFileSync(join(dist, "package.json"), '{ "type": "commonjs" }\n');
}

/**
 * A template is a folder by itself. Each of its files comes from its own folder, from what all templates have in common, or
 * from the example it is made of.
 */
function buildTemplates() {
  const source = join(root, "templates");
  const target = join(dist, "templates");
  rmSync(target, { recursive: true, force: true });
  for (const name of readdirSync(source).filter((n) => !n.startsWith("_"))) {
    const { example, ...manifest } = JSON.parse(readFileSync(join(source, name, "template.json"), "utf8"));
    const own = join(source, name, "files");
    const folders = [own, join(source, "_common"), ...(example === undefined ? [] : [join(root, "examples", example)])];
    const listed = manifest.files.map((f) => f.from ?? f);
    for (const file of listed) {
      const folder = folders.find((f) => existsSync(join(f, file)));
      // The lockfile is made with the rest of the template.
      if (folder === undefined && file !== "package-lock.json.hbs")
        throw new Error(`templates/${name}: there is no ${file}`);
      if (folder !== undefined) cpSync(join(folder, file), join(target, name, "files", file), { recursive: true });
    }
    for (const file of readdirSync(own, { recursive: true, withFileTypes: true }).filter((e) => e.isFile())) {
      const path = relative(own, join(file.parentPath, file.name));
      if (!listed.some((l) => path === l || path.startsWith(`${l}/`)))
        throw new Error(`templates/${name} does not list ${path}`);
    }
    writeFileSync(join(target, name, "template.json"), JSON.stringify(manifest, null, 2));
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
await buildEmulators();
await buildCommandLine();
buildTemplates();
await buildManifest();
rmSync(join(dist, "cache"), { recursive: true, force: true });
process.stderr.write(`built klio in ${((Date.now() - started) / 1000).toFixed(1)} s\n`);
