// Builds @klio/runtime as it ships: a few bundles without dependencies, their types, and the tarball that jobs vendor.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { build } from "esbuild";

const root = join(import.meta.dirname, "..");
const source = join(root, "packages/runtime");
const out = join(root, "dist/runtime");
const { version, description, license, engines } = JSON.parse(readFileSync(join(source, "package.json"), "utf8"));

// What bundled CommonJS modules expect to find in an ES module.
const banner = `import { createRequire as __createRequire } from "node:module";
import { dirname as __pathDirname } from "node:path";
import { fileURLToPath as __fileURLToPath } from "node:url";
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __pathDirname(__filename);`;

async function bundle(entry, outfile, options = {}) {
  const result = await build({
    entryPoints: [join(source, entry)],
    outfile: join(out, outfile),
    bundle: true,
    platform: "node",
    target: "node20.19",
    format: "esm",
    legalComments: "none",
    // Node's own punycode warns at every start of Node 21 and later that it is deprecated.
    alias: { punycode: join(root, "node_modules/punycode/punycode.js") },
    metafile: true,
    logLevel: "warning",
    ...options,
  });
  return Object.keys(result.metafile.inputs);
}

/** The licences of every package whose code is in the bundles. */
function notices(inputs) {
  const packages = new Map();
  for (const input of inputs) {
    const match = /^(.*node_modules\/((?:@[^/]+\/)?[^/]+))\//.exec(input);
    if (match) packages.set(match[1], match[2]);
  }
  const parts = [...packages]
    .sort(([, a], [, b]) => (a < b ? -1 : 1))
    .map(([path, name]) => {
      const folder = join(root, path);
      const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
      const files = readdirSync(folder).filter((f) => /^(licen[cs]e|notice|copying)/i.test(f));
      const texts = files.map((f) => readFileSync(join(folder, f), "utf8").trim());
      return `${name} ${manifest.version} (${manifest.license ?? "see below"})\n\n${texts.join("\n\n")}`;
    });
  return `@klio/runtime contains the following packages.\n\n${parts.join(`\n\n${"-".repeat(80)}\n\n`)}\n`;
}

function types() {
  const emitted = join(out, "types");
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [tsc, "-p", join(source, "tsconfig.types.json"), "--outDir", emitted], {
    stdio: "inherit",
  });
  // Declarations refer to klio's own packages by path, so that the types need nothing installed.
  for (const file of walk(emitted)) {
    const toConfig = relative(join(file, ".."), join(emitted, "config/src/effective.js")).replace(/^(?!\.)/, "./");
    const text = readFileSync(file, "utf8").replaceAll('"@klio/config/effective"', JSON.stringify(toConfig));
    writeFileSync(file, text);
  }
  prune(emitted, ["runtime/src/index.d.ts", "runtime/src/testing/index.d.ts"]);
}

/** Removes the declarations that neither entry leads to: they are of the inside. */
function prune(emitted, entries) {
  const reachable = new Set();
  const visit = (file) => {
    if (reachable.has(file)) return;
    reachable.add(file);
    for (const [, path] of readFileSync(file, "utf8").matchAll(/(?:from|import\()\s*"(\.[^"]+)\.js"/g)) {
      visit(join(file, "..", `${path}.d.ts`));
    }
  };
  for (const entry of entries) visit(join(emitted, entry));
  for (const file of walk(emitted)) if (!reachable.has(file)) rmSync(file);
}

function* walk(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* walk(path);
    else yield path;
  }
}

export async function buildRuntime() {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const heavy = { minify: true, keepNames: true, banner: { js: banner } };
  const inputs = [
    ...(await bundle("src/index.ts", "index.js")),
    ...(await bundle("src/testing/index.ts", "testing.js")),
    ...(await bundle("src/supervisor/main.ts", "supervisor.js", heavy)),
    ...(await bundle("src/worker/main.ts", "worker.js", heavy)),
    ...(await bundle("src/event-files/main.ts", "event-files.js", heavy)),
  ];
  types();
  writeFileSync(join(out, "bin.js"), '#!/usr/bin/env node\nimport "./supervisor.js";\n', { mode: 0o755 });
  writeFileSync(join(out, "THIRD-PARTY-NOTICES.txt"), notices(inputs));
  cpSync(join(root, "LICENSE"), join(out, "LICENSE"));
  cpSync(join(source, "README.md"), join(out, "README.md"));
  // Editors find it by the first line of a job's klio-job.yaml.
  cpSync(join(root, "spec/klio-job.schema.json"), join(out, "klio-job.schema.json"));
  const manifest = {
    name: "@klio/runtime",
    version,
    description,
    license,
    type: "module",
    engines,
    bin: { "klio-runtime": "bin.js" },
    exports: {
      ".": { types: "./types/runtime/src/index.d.ts", default: "./index.js" },
      "./testing": { types: "./types/runtime/src/testing/index.d.ts", default: "./testing.js" },
      "./package.json": "./package.json",
    },
    files: ["*.js", "*.schema.json", "types", "LICENSE", "README.md", "THIRD-PARTY-NOTICES.txt"],
  };
  writeFileSync(join(out, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  const vendor = join(root, "dist/vendor");
  rmSync(vendor, { recursive: true, force: true });
  mkdirSync(vendor, { recursive: true });
  execFileSync("npm", ["pack", out, "--pack-destination", vendor, "--silent", "--ignore-scripts"], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (!existsSync(join(vendor, `klio-runtime-${version}.tgz`))) throw new Error("npm pack made no tarball");
}

if (process.argv[1] === import.meta.filename) await buildRuntime();
