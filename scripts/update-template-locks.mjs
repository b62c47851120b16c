// Writes templates/<name>/files/package-lock.json.hbs: the lockfile of a job made from the template, with the job's name and
// the runtime's tarball left open. Run it after changing a template's packages: node scripts/update-template-locks.mjs
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
for (const name of readdirSync(join(root, "templates"))) {
  const work = mkdtempSync(join(tmpdir(), "klio-lock-"));
  const target = join(root, "templates", name, "files/package-lock.json.hbs");
  rmSync(target, { force: true });
  rmSync(join(root, "dist/templates", name, "files/package-lock.json.hbs"), { force: true });
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
