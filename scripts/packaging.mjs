// What the packages that klio ships have in common: how they are bundled, their types, and the notices of what is in them.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

export const root = join(import.meta.dirname, "..");

// What bundled CommonJS modules expect to find in an ES module.
export const requireBanner = {
  js: `import { createRequire as __createRequire } from "node:module";
import { dirname as __pathDirname } from "node:path";
import { fileURLToPath as __fileURLToPath } from "node:url";
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __pathDirname(__filename);`,
};

/** Bundles `entry` as an ES module. Returns the files that went into it. */
export async function bundle(entry, outfile, options = {}) {
  const result = await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: "node",
    target: "node20.19",
    format: "esm",
    legalComments: "none",
    // Node's own punycode warns at every start of Node 21 and later that it is deprecated.
    alias: {
      punycode: join(root, "node_modules/punycode/punycode.js"),
      // node-fetch knows signals by the name of their class, which bundling changes; Node has its own since 15.
      "abort-controller": join(root, "scripts/native-abort-controller.cjs"),
    },
    metafile: true,
    logLevel: "warning",
    ...options,
  });
  return Object.keys(result.metafile.inputs);
}

/** The licences of every package whose code is in the bundles. */
export function notices(name, inputs) {
  const packages = new Map();
  for (const input of inputs) {
    const match = /^(.*node_modules\/((?:@[^/]+\/)?[^/]+))\//.exec(input);
    if (match) packages.set(match[1], match[2]);
  }
  const parts = [...packages]
    .sort(([, a], [, b]) => (a < b ? -1 : 1))
    .map(([path, packageName]) => {
      const folder = join(root, path);
      const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
      const files = readdirSync(folder).filter((f) => /^(licen[cs]e|notice|copying)/i.test(f));
      const texts = files.map((f) => readFileSync(join(folder, f), "utf8").trim());
      return `${packageName} ${manifest.version} (${manifest.license ?? "see below"})\n\n${texts.join("\n\n")}`;
    });
  return `${name} contains the following packages.\n\n${parts.join(`\n\n${"-".repeat(80)}\n\n`)}\n`;
}

/** Writes the declarations of a package's sources, as its tsconfig.types.json has them, and keeps those that `entries` lead to. */
export function emitTypes(source, emitted, entries, edit = (_file, text) => text) {
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [tsc, "-p", join(source, "tsconfig.types.json"), "--outDir", emitted], {
    stdio: "inherit",
  });
  for (const file of walk(emitted)) writeFileSync(file, edit(file, readFileSync(file, "utf8")));
  prune(emitted, entries);
}

/** Removes the declarations that no entry leads to: they are of the inside. */
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
