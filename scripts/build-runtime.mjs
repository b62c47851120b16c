// Builds @klio/runtime as it ships: a few bundles without dependencies, their types, and the tarball that jobs vendor.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { bundle, emitTypes, notices, requireBanner, root } from "./packaging.mjs";

const source = join(root, "packages/runtime");
const out = join(root, "dist/runtime");
const { version, description, license, engines } = JSON.parse(readFileSync(join(source, "package.json"), "utf8"));

function types() {
  const emitted = join(out, "types");
  // Declarations refer to klio's own packages by path, so that the types need nothing installed.
  const withoutPackages = (file, text) => {
    const toConfig = relative(join(file, ".."), join(emitted, "config/src/effective.js")).replace(/^(?!\.)/, "./");
    return text.replaceAll('"@klio/config/effective"', JSON.stringify(toConfig));
  };
  emitTypes(source, emitted, ["runtime/src/index.d.ts", "runtime/src/testing/index.d.ts"], withoutPackages);
}

export async function buildRuntime() {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  // Names stay, for stack traces; esbuild's keepNames would cost every closure a call.
  const heavy = { minifyWhitespace: true, minifySyntax: true, banner: requireBanner };
  const inputs = [
    ...(await bundle(join(source, "src/index.ts"), join(out, "index.js"))),
    ...(await bundle(join(source, "src/testing/index.ts"), join(out, "testing.js"), { banner: requireBanner })),
    ...(await bundle(join(source, "src/supervisor/main.ts"), join(out, "supervisor.js"), heavy)),
    ...(await bundle(join(source, "src/worker/main.ts"), join(out, "worker.js"), heavy)),
    ...(await bundle(join(source, "src/inline/main.ts"), join(out, "inline.js"), heavy)),
    ...(await bundle(join(source, "src/event-files/main.ts"), join(out, "event-files.js"), heavy)),
  ];
  types();
  writeFileSync(join(out, "bin.js"), '#!/usr/bin/env node\nimport "./supervisor.js";\n', { mode: 0o755 });
  writeFileSync(join(out, "THIRD-PARTY-NOTICES.txt"), notices("@klio/runtime", inputs));
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
