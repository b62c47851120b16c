// Writes the package-lock.json.hbs beside each package.json.hbs of the templates: the lockfile of a job made from it, with the
// job's name and the runtime's tarball left open. Run it after changing packages: node scripts/update-template-locks.mjs
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const done = new Set();
for (const name of readdirSync(join(root, "templates")).filter((n) => !n.startsWith("_"))) {
  const own = join(root, "templates", name, "files");
  const folder = existsSync(join(own, "package.json.hbs")) ? own : join(root, "templates/_common");
  if (done.has(folder)) continue;
  done.add(folder);
  const work = mkdtempSync(join(tmpdir(), "klio-lock-"));
  const target = join(folder, "package-lock.json.hbs");
  // An empty one: npm makes it anew.
  writeFileSync(join(root, "dist/templates", name, "files/package-lock.json.hbs"), "{}");
  const job = join(work, "job");
  const flags = [
    "--from",
    name,
    "--job-name",
    "lock-job",
    "--gcp-project",
    "lock-project",
    "--use-defaults",
    "--no-install",
  ];
  execFileSync(process.execPath, [join(root, "bin/run.js"), "job", "create", ...flags, "--output", job], {
    stdio: "ignore",
  });
  rmSync(join(job, "package-lock.json"));
  execFileSync("npm", ["install", "--package-lock-only", "--no-audit", "--no-fund"], { cwd: job, stdio: "ignore" });
  const lock = JSON.parse(readFileSync(join(job, "package-lock.json"), "utf8"));
  lock.name = lock.packages[""].name = "@@jobName@@";
  const runtime = lock.packages["node_modules/@klio/runtime"];
  Object.assign(runtime, {
    version: "@@runtimeVersion@@",
    resolved: "file:vendor/@@runtimeTarball@@",
    integrity: "@@runtimeIntegrity@@",
  });
  lock.packages[""].dependencies["@klio/runtime"] = "file:vendor/@@runtimeTarball@@";
  const text = JSON.stringify(lock, null, 2).replaceAll(/@@(\w+)@@/g, "{{$1}}");
  if (/"resolved": "http/.test(text)) throw new Error("the lockfile names a registry");
  writeFileSync(target, `${text}\n`);
  rmSync(work, { recursive: true });
  process.stderr.write(`${name}: ${Object.keys(lock.packages).length} packages\n`);
}
