// Makes a clone ready: installs packages when they are missing or out of date, and builds when sources changed.
// Imports nothing that has to be installed.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(`klio needs Node 20.19 or later; this is ${process.version}\n`);
  process.exit(1);
}

function run(what, command, args) {
  process.stderr.write(`${what}…\n`);
  execFileSync(command, args, { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
}

function hash(paths) {
  const digest = createHash("sha256").update(process.version);
  for (const path of paths) digest.update(path).update(readFileSync(join(root, path)));
  return digest.digest("hex");
}

function filesBelow(folder, ignored = ["node_modules", "dist", "gen", ".klio"]) {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter((e) => !ignored.includes(e.name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((e) => (e.isDirectory() ? filesBelow(join(folder, e.name)) : [join(folder, e.name)]));
}

/** Does `work` unless it was done for the same inputs before. */
function once(name, inputs, isThere, work) {
  const stamp = join(root, "node_modules/.cache/klio", name);
  const now = hash(inputs);
  if (isThere() && existsSync(stamp) && readFileSync(stamp, "utf8") === now) return;
  work();
  mkdirSync(join(stamp, ".."), { recursive: true });
  writeFileSync(stamp, now);
}

const manifests = [
  "package.json",
  "package-lock.json",
  ...["packages", "examples"].flatMap((folder) =>
    readdirSync(join(root, folder)).map((name) => `${folder}/${name}/package.json`),
  ),
];
once(
  "installed",
  manifests,
  () => existsSync(join(root, "node_modules/esbuild")),
  () => {
    run("installing packages (once)", "npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
  },
);
const sources = ["bin", "src", "packages", "spec", "templates", "examples", "scripts"].flatMap((f) => filesBelow(f));
once(
  "built",
  [...manifests, ...sources],
  () => ["oclif.manifest.json", "dist/oclif.js"].every((f) => existsSync(join(root, f))),
  () => {
    run("building", process.execPath, [join(root, "scripts/build.mjs")]);
  },
);
