import { readdirSync } from "node:fs";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { User } from "../support/klio.js";
import { root } from "../support/rig.js";
import { inTerminal, Terminal } from "../support/terminal.js";

let user: User;
let job: string;

beforeEach(async () => {
  user = await User.create();
  job = await user.job("my-job");
});

afterEach(() => user.remove());

/** Replaces a file at once, as many editors do: one that is saved in place is empty first, and a build may see it so. */
async function save(file: string, text: string): Promise<void> {
  const whole = join(user.home, "saved");
  await writeFile(whole, text);
  await rename(whole, join(job, file));
}

async function edit(file: string, from: string, to: string): Promise<void> {
  const text = await readFile(join(job, file), "utf8");
  expect(text).toContain(from);
  await save(file, text.replace(from, to));
}

const watch = (...flags: string[]) => user.start(["job", "run", "--direct-runner", "--watch", ...flags], job);
const publish = (element: string) => user.klio(["message", "publish", element, "--wait", "--force"], job);
const output = (element: string) =>
  readFile(join(job, ".klio/storage/test-project-output/my-job", `${element}.txt`), "utf8");

describe("job run --watch", () => {
  it("loads saved code; shows a mistake alone with the code around it, while the last good version goes on", async () => {
    const run = watch();
    await run.until("is ready");
    await edit("src/transforms.ts", "{options.greeting}, ", "{options.greeting} dear ");
    await run.until("the new code is in service");
    await publish("ada");
    expect(await output("ada")).toBe("Hello dear ada!\n");

    const before = run.stderr.length;
    await edit("src/transforms.ts", "return item.with(uri);", "return item.with(uri;");
    await run.until("the last good version goes on");
    const shown = run.stderr.slice(before);
    expect(shown).toMatch(
      /^✘ the job does not compile; the last good version goes on \[JOB_COMPILE\]\n {2}src\/transforms\.ts:(\d+):\d+: error: .*\n/,
    );
    expect(shown).toMatch(/\n\s+> \d+ \| +return item\.with\(uri;\n\s+\| +\^\n/);
    expect(shown.trimEnd().split("\n").length).toBeLessThan(10);
    await publish("bob");
    expect(await output("bob")).toBe("Hello dear bob!\n");

    await edit("src/transforms.ts", "return item.with(uri;", "return item.with(uri);");
    await edit("src/run.ts", "export default", 'throw new Error("not today");\nexport default');
    await run.until("the new code does not run, the last good one goes on: the job's code does not load: not today");
    expect(run.stderr).toMatch(/not today\n\s+at .*src\/run\.ts:\d+/);
    await publish("cleo");
    expect(await output("cleo")).toBe("Hello dear cleo!\n");
    const { code, stderr } = await run.stop();
    expect(code).toBe(0);
    expect(stderr).toContain("3 done, 0 given back");
    expect(readdirSync(join(job, ".klio/run"))).toEqual([]);
    expect(await user.processesLeft()).toEqual([]);
    expect(user.leftovers()).toEqual([]);
  });

  it("says which keys of the configuration changed, and whether the job is reloaded or restarted", async () => {
    const run = watch();
    await run.until("is ready");
    await edit("klio-job.yaml", "greeting: Hello", "greeting: Good day");
    await run.until("the new code is in service");
    expect(run.stderr).toContain(
      'klio-job.yaml changed, it is reloaded:\n    job_config.greeting: "Hello" → "Good day" (reloads)',
    );
    await publish("ada");
    expect(await output("ada")).toBe("Good day, ada!\n");

    const before = "  delivery: # what happens to messages that fail\n    attempts: 5";
    await edit(
      "klio-job.yaml",
      before,
      "  workers: {limits: {gpu: 2}}\n  delivery:\n    attempts: 2\n    timeout: 30s",
    );
    await run.until(/is ready[^]*is ready/);
    expect(run.stderr).toContain("klio-job.yaml changed, the job restarts:");
    expect(run.stderr).toContain("job_config.delivery.attempts: 5 → 2 (restarts)");
    expect(run.stderr).toContain("job_config.delivery.timeout_ms: 0 → 30000 (restarts)");
    expect(run.stderr).toContain("job_config.workers.limits.gpu: none → 2 (restarts)");
    expect(run.stderr).not.toContain("job_config.workers.limits:");
    await publish("bob");
    expect(await output("bob")).toBe("Good day, bob!\n");

    await edit("klio-job.yaml", "attempts: 2", "atempts: 2");
    await run.until("klio-job.yaml has a mistake; the last good version goes on");
    expect(run.stderr).toContain('Did you mean "attempts"?');
    await edit("klio-job.yaml", "atempts: 2", "attempts: 2");
    expect((await publish("cleo")).code).toBe(0);
    await run.stop();
    expect(await user.processesLeft()).toEqual([]);
  });

  it("finishes by the old code what that began, and does a message that waits by the new code", async () => {
    await edit(
      "src/transforms.ts",
      "ctx.logger.info(",
      // It goes on only when it is told to.
      `if (item.element === "slow") {
        ctx.logger.info("begun by the old code");
        while (!existsSync("go-on")) await new Promise((r) => setTimeout(r, 20));
      }
      ctx.logger.info(`,
    );
    await edit("src/transforms.ts", "import {", 'import { existsSync } from "node:fs";\nimport {');
    const run = watch("-O", "job_config.workers.count=1");
    await run.until("is ready");
    const slow = publish("slow");
    await run.until("begun by the old code");
    await edit("src/transforms.ts", "{options.greeting}, ", "{options.greeting} dear ");
    await run.until("the new code is in service");
    await publish("quick");
    expect(run.stderr).not.toContain("slow processed");
    await writeFile(join(job, "go-on"), "");
    expect((await slow).code).toBe(0);
    expect([await output("slow"), await output("quick")]).toEqual(["Hello, slow!\n", "Hello dear quick!\n"]);
    await run.stop();
  });

  it("does nothing for a save that changes nothing, and waits for the next one when the job has ended", async () => {
    const run = watch();
    await run.until("is ready");
    await edit("src/transforms.ts", "{options.greeting}, ", "{options.greeting}; ");
    await run.until("the new code is in service");
    await save("src/transforms.ts", await readFile(join(job, "src/transforms.ts"), "utf8"));
    await edit("klio-job.yaml", "# The job's own keys", "# The job's very own keys");
    await publish("ada");
    expect(run.stderr.match(/the new code is in service/g)).toHaveLength(1);

    const config = await readFile(join(job, "klio-job.yaml"), "utf8");
    const lost = config
      .replace(/ {8}topic: .*my-job-input\n/, "")
      .replace("subscriptions/my-job-input-my-job", "subscriptions/missing-one");
    await save("klio-job.yaml", lost);
    await run.until("the job has ended; it starts again when something is saved");
    expect(run.stderr).toContain("missing-one");
    await save("klio-job.yaml", config);
    await run.until(/the job has ended[^]*is ready/);
    expect((await publish("bob")).code).toBe(0);
    await run.stop();
  });

  it("starts again in another session when the local session's process is killed", async () => {
    const run = watch();
    await run.until("is ready");
    const [session = ""] = user.processes().filter((line) => line.includes("session.cjs"));
    process.kill(Number(session.split(" ")[0]), "SIGKILL");
    await run.until(/the local session is gone[^]*is ready/);
    expect((await publish("ada")).code).toBe(0);
    await run.stop();
    expect(await user.processesLeft()).toEqual([]);
    expect(user.leftovers()).toEqual([]);
  });

  inTerminal("listens to keys: p publishes again, l changes the level, r restarts, q quits", async () => {
    const terminal = new Terminal(user.home, user.environment, { columns: 120, rows: 40 });
    try {
      terminal.run(
        `cd my-job && clear && node ${join(root, "bin/run.js")} job run --direct-runner --watch; echo "exit=$?"`,
      );
      await terminal.until("r restart · p publish the last message again · l level of what is shown · q quit");
      await terminal.until("is ready");
      terminal.press("p");
      await terminal.until("there is no message yet to send again");
      await publish("ada");
      await terminal.until("ada processed");
      terminal.press("p");
      await terminal.until(/sent again, forced: ada[^]*ada processed/);
      terminal.press("l");
      await terminal.until("showing: warning");
      terminal.press("r");
      await terminal.until(/restarting[^]*is ready/);
      terminal.press("q");
      const screen = await terminal.until("exit=0");
      expect(screen).not.toMatch(/\n\s+at /);
      terminal.run("stty -a | grep -o '[-]*icanon'");
      await terminal.until(/\nicanon/);
    } finally {
      terminal.close();
    }
    expect(await user.processesLeft()).toEqual([]);
  });
});
