// Installs what the suites need besides npm's packages: a Python of their own with Google's client.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const environment = join(root, "node_modules/.cache/klio/python");
const requirements = join(root, "test/conformance/pubsub/python/requirements.txt");
const stamp = join(environment, "installed");
const wanted = readFileSync(requirements, "utf8");
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) {
  process.stderr.write("installing Google's Python client (once)…\n");
  const run = (file, args) => execFileSync(file, args, { stdio: ["ignore", "ignore", "inherit"] });
  run("python3", ["-m", "venv", "--clear", environment]);
  run(join(environment, "bin/python"), [
    "-m",
    "pip",
    "install",
    "--quiet",
    "--disable-pip-version-check",
    "-r",
    requirements,
  ]);
  writeFileSync(stamp, wanted);
}
