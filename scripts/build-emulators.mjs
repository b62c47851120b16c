// Builds @klio/emulators as a library by itself: one bundle and its types. Native code stays a dependency.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundle, emitTypes, notices, requireBanner, root } from "./packaging.mjs";

const source = join(root, "packages/emulators");
const out = join(root, "dist/emulators");

export async function buildEmulators() {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const { name, version, description, license, engines, dependencies } = JSON.parse(
    readFileSync(join(source, "package.json"), "utf8"),
  );
  const native = "@node-rs/crc32";
  const inputs = await bundle(join(source, "src/index.ts"), join(out, "index.js"), {
    minify: true,
    keepNames: true,
    external: [native],
    banner: requireBanner,
  });
  emitTypes(source, join(out, "types"), ["src/index.d.ts"]);
  writeFileSync(join(out, "THIRD-PARTY-NOTICES.txt"), notices(name, inputs));
  cpSync(join(root, "LICENSE"), join(out, "LICENSE"));
  cpSync(join(source, "README.md"), join(out, "README.md"));
  const manifest = {
    name,
    version,
    description,
    license,
    type: "module",
    engines,
    exports: {
      ".": { types: "./types/src/index.d.ts", default: "./index.js" },
      "./package.json": "./package.json",
    },
    dependencies: { [native]: dependencies[native] },
    files: ["index.js", "types", "LICENSE", "README.md", "THIRD-PARTY-NOTICES.txt"],
  };
  writeFileSync(join(out, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
}

if (process.argv[1] === import.meta.filename) await buildEmulators();
