import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { median, type Row } from "./measure.js";

const rounds = 5;

/** From `klio job create` to the first message processed: nothing running, nothing installed but klio, no network. */
export async function firstMessage(root: string): Promise<Row[]> {
  const klio = join(root, "bin/run.js");
  const samples: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const home = mkdtempSync(join(tmpdir(), "klio-bench-"));
    const env = { ...process.env, HOME: home, XDG_STATE_HOME: undefined };
    const job = join(home, "job");
    const started = Date.now();
    const flags = [
      "--job-name",
      "bench-job",
      "--gcp-project",
      "bench-project",
      "--use-defaults",
      "--no-install",
      "--output",
      job,
    ];
    execFileSync(process.execPath, [klio, "job", "create", ...flags], { env, stdio: "ignore" });
    const run = spawn(process.execPath, [klio, "job", "run", "--direct-runner", "--json"], {
      cwd: job,
      env,
      stdio: ["ignore", "pipe", "ignore"],
    });
    const ended = new Promise((resolve) => run.once("close", resolve));
    await new Promise<void>((resolve) => {
      createInterface({ input: run.stdout }).on("line", (line) => {
        if (line.includes('"event":"ready"')) resolve();
      });
    });
    execFileSync(process.execPath, [klio, "message", "publish", "first", "--wait"], { cwd: job, env, stdio: "ignore" });
    samples.push(Date.now() - started);
    run.kill("SIGTERM");
    await ended;
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  }
  return [
    {
      what: "job create → first message processed",
      klio: median(samples),
      peer: undefined,
      unit: "ms",
      reach: "≤ 5000 ms",
    },
  ];
}

/** `npm run quickstart` when everything is installed and its job is there. */
export function quickstartAgain(root: string): Row[] {
  const samples: number[] = [];
  execFileSync("npm", ["run", "--silent", "quickstart"], { cwd: root, stdio: "ignore" });
  for (let round = 0; round < rounds; round += 1) {
    const started = Date.now();
    execFileSync("npm", ["run", "--silent", "quickstart"], { cwd: root, stdio: "ignore" });
    samples.push(Date.now() - started);
  }
  return [{ what: "npm run quickstart, again", klio: median(samples), peer: undefined, unit: "ms", reach: "–" }];
}
