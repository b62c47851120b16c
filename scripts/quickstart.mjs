// From nothing to a picture: makes a job, runs it, sends it a message, and says where the picture lies.
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { createInterface } from "node:readline";

const root = join(import.meta.dirname, "..");
const klio = join(root, "bin/run.js");
const job = join(root, ".klio/quickstart");
const element = "sense-and-sensibility-1";
const shown = relative(process.cwd(), job);

function start(args, options = {}) {
  return spawn(process.execPath, [klio, ...args], {
    cwd: existsSync(job) ? job : root,
    stdio: ["ignore", "pipe", "inherit"],
    ...options,
  });
}

async function klioCommand(...args) {
  const child = start(args, { stdio: ["ignore", "inherit", "inherit"] });
  const code = await new Promise((resolve) => child.once("exit", resolve));
  if (code !== 0) throw new Error(`klio ${args.join(" ")} ended with ${code}`);
}

function step(text) {
  process.stdout.write(`\n▸ ${text}\n`);
}

async function untilReady(child) {
  const lines = createInterface({ input: child.stdout });
  await new Promise((resolve, reject) => {
    lines.on("line", (line) => {
      const event = JSON.parse(line);
      if (event.event === "ready") resolve(undefined);
      if (event.event === "fatal") reject(new Error(event.message));
    });
    child.once("exit", (code) => reject(new Error(`the job ended with ${code} before it was ready`)));
  });
}

const create = ["job", "create", "--from", "audio", "--job-name", "quickstart", "--gcp-project", "klio-quickstart"];
if (!existsSync(join(job, "node_modules"))) {
  step(`klio ${create.join(" ")} --use-defaults --output ${shown}`);
  rmSync(job, { recursive: true, force: true });
  await klioCommand(...create, "--use-defaults", "--output", job);
}
step("klio job run --direct-runner");
const running = start(["job", "run", "--direct-runner", "--json"]);
const stopped = new Promise((resolve) => running.once("exit", resolve));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => running.kill("SIGTERM"));
let picture;
try {
  await untilReady(running);
  const input = join(job, ".klio/storage/klio-quickstart-input/quickstart");
  mkdirSync(input, { recursive: true });
  cpSync(join(job, "recordings", `${element}.wav`), join(input, `${element}.wav`));
  step(`klio message publish ${element} --force --wait`);
  await klioCommand("message", "publish", element, "--force", "--wait");
  picture = join(job, ".klio/storage/klio-quickstart-output/quickstart", `${element}.png`);
} finally {
  running.kill("SIGTERM");
  await stopped;
}
if (!existsSync(picture)) throw new Error(`${picture} is missing`);
process.stdout.write(`
The picture: ${relative(process.cwd(), picture)}

Next:
  cd ${shown}
  node ${relative(job, klio)} job run --direct-runner --watch    # the job, until Ctrl-C
  node ${relative(job, klio)} message publish ${element} -f --wait   # in another terminal
  edit src/transforms.ts, save: with --watch the job takes it over; npm test runs its tests
`);
