// Installs what the suites need besides npm's packages: environments of Python of their own, and a peer of the Storage emulator.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const cache = join(root, "node_modules/.cache/klio");
const read = (path) => readFileSync(join(root, path), "utf8");
const run = (file, args, env = {}) =>
  execFileSync(file, args, { stdio: ["ignore", "ignore", "inherit"], env: { ...process.env, ...env } });

/** Does the work unless it was done for the same `wanted`. */
function once(what, folder, wanted, install) {
  const stamp = join(folder, "installed");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  process.stderr.write(`installing ${what} (once)…\n`);
  install();
  mkdirSync(folder, { recursive: true });
  writeFileSync(stamp, wanted);
}

function python(name, what, requirements) {
  const environment = join(cache, `python-${name}`);
  once(what, environment, requirements.map(read).join(""), () => {
    run("python3", ["-m", "venv", "--clear", environment]);
    const files = requirements.flatMap((file) => ["-r", join(root, file)]);
    run(join(environment, "bin/python"), ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...files]);
  });
}

python("clients", "Google's Python clients", [
  "test/conformance/pubsub/python/requirements.txt",
  "test/conformance/storage/python/requirements.txt",
]);
python("beam", "Apache Beam", ["test/conformance/storage/beam/requirements.txt"]);

const peer = /peerVersion = "([^"]+)"/.exec(read("test/support/storage-targets.ts"))[1];
const bin = join(cache, "go");
once(`fake-gcs-server ${peer}`, bin, peer, () =>
  run("go", ["install", `github.com/fsouza/fake-gcs-server@${peer}`], { GOBIN: bin, GOFLAGS: "-mod=mod" }),
);

// A test runner that jobs may use; klio's own tests do not.
const jest = "30.4.2";
const runner = join(cache, "jest");
once(`jest ${jest}`, runner, jest, () => {
  mkdirSync(runner, { recursive: true });
  writeFileSync(join(runner, "package.json"), '{ "private": true }');
  run("npm", ["install", "--silent", "--no-audit", "--no-fund", "--prefix", runner, `jest@${jest}`]);
});
