import { existsSync, readFileSync } from "node:fs";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { User } from "../support/klio.js";
import { root } from "../support/rig.js";

let user: User;

beforeEach(async () => {
  user = await User.create();
});

afterEach(() => user.remove());

describe("a job made from `streaming`", () => {
  it("runs before any install, processes a message, says where the output lies, and leaves nothing behind", async () => {
    const job = await user.job("my-job");
    const run = user.start(["job", "run", "--direct-runner"], job);
    await run.until("my-job is ready");
    expect(run.stderr).toMatch(
      /Pub\/Sub 127\.0\.0\.1:\d+ · Cloud Storage http:\/\/127\.0\.0\.1:\d+ · files in \.klio\/storage/,
    );
    const published = await user.klio(["message", "publish", "ada", "--wait"], job);
    expect(published.code).toBe(0);
    expect(published.stderr).toContain("publishing to projects/test-project/topics/my-job-input in the local session");
    expect(published.stdout).toContain("ada processed");
    const output = ".klio/storage/test-project-output/my-job/ada.txt";
    expect(published.stdout).toContain(`→ ${output}`);
    expect(await readFile(join(job, output), "utf8")).toBe("Hello, ada!\n");
    await run.until("ada processed");
    const again = await user.klio(["message", "publish", "ada", "--wait", "--json"], job);
    expect(JSON.parse(again.stdout)).toMatchObject({
      outcomes: [{ element: "ada", outcome: "passed-through" }],
      failed: [],
    });
    const { code, stderr } = await run.stop("SIGINT");
    expect(code).toBe(0);
    expect(stderr).toContain("stopped: 2 done, 0 given back");
    expect(await user.processesLeft()).toEqual([]);
    expect(user.leftovers()).toEqual([]);
  });

  it("installs offline from its vendored tarball alone, and klio-runtime runs what was built", async () => {
    const job = await user.job("my-job");
    const lock = JSON.parse(await readFile(join(job, "package-lock.json"), "utf8")) as {
      name: string;
      packages: Record<string, { integrity?: string }>;
    };
    expect(lock.name).toBe("my-job");
    expect(lock.packages["node_modules/@klio/runtime"]?.integrity).toMatch(/^sha512-/);
    const environment = { ...user.environment, npm_config_registry: "http://127.0.0.1:9" };
    const started = Date.now();
    await execa("npm", ["ci", "--omit=dev", "--offline"], { cwd: job, env: environment, extendEnv: false });
    console.log(`npm ci --omit=dev --offline took ${Date.now() - started} ms`);
    expect((await user.klio(["job", "build"], job)).code).toBe(0);
    const runtime = join(job, "node_modules/.bin/klio-runtime");
    const graph = await execa(runtime, ["graph", ".klio/build"], { cwd: job });
    expect(JSON.parse(graph.stdout)).toMatchObject({
      nodes: [{ path: "greet", inputs: ["input/main"] }],
      outputs: ["greet/main"],
    });
    const run = user.start(["job", "run", "--direct-runner", "--json"], job);
    await run.until('"event":"ready"');
    expect((await user.klio(["message", "publish", "bob", "--wait"], job)).stdout).toContain("bob processed");
    expect((await run.stop()).code).toBe(0);
    expect(existsSync(join(job, ".klio/node_modules/@klio/runtime"))).toBe(false);
    await writeFile(join(job, "vendor/klio-runtime-0.1.0.tgz"), "changed");
    const changed = await execa("npm", ["ci", "--omit=dev", "--offline"], {
      cwd: job,
      env: { ...environment, npm_config_cache: join(user.home, "another-cache") },
      extendEnv: false,
      reject: false,
    });
    expect(changed.stderr).toMatch(/EINTEGRITY|integrity/i);
  });

  it("shows the user's own file and line when user code throws, and a dead letter in the end", async () => {
    const job = await user.job("my-job");
    const path = join(job, "src/transforms.ts");
    const text = await readFile(path, "utf8");
    await writeFile(
      path,
      text.replace("ctx.logger.info", 'if (item.element === "bad") throw new Error("boom");\n      ctx.logger.info'),
    );
    const line = (await readFile(path, "utf8")).split("\n").findIndex((l) => l.includes("boom")) + 1;
    const run = user.start(["job", "run", "--direct-runner", "-O", "job_config.delivery.attempts=2"], job);
    await run.until("is ready");
    const published = await user.klio(["message", "publish", "bad", "good", "--wait"], job);
    expect(published.code).toBe(1);
    expect(published.stdout).toMatch(/bad dead-letter.*boom/);
    expect(published.stdout).toContain("good processed");
    expect(published.stderr).toContain("1 of 2 became a dead letter");
    expect(run.stderr).toMatch(new RegExp(`attempt 1 of 2: boom\\n    at .*src/transforms\\.ts:${line}:`));
    await run.stop();
  });

  it("shows syntax errors with their place, and type errors once it is installed", async () => {
    const job = await user.job("my-job");
    const path = join(job, "src/transforms.ts");
    const text = await readFile(path, "utf8");
    await writeFile(path, text.replace("ctx.logger.info(", "ctx.logger.info(("));
    const broken = await user.klio(["job", "run", "--direct-runner"], job);
    expect(broken.code).toBe(1);
    expect(broken.stderr).toMatch(/src\/transforms\.ts:\d+:\d+: error: /);
    await writeFile(path, text.replace("item.with(uri)", "item.wiht(uri)"));
    await mkdir(join(job, "node_modules"));
    for (const name of ["typescript", "@types"])
      await symlink(join(root, "node_modules", name), join(job, "node_modules", name));
    await mkdir(join(job, "node_modules/@klio"));
    await symlink(join(root, "dist/runtime"), join(job, "node_modules/@klio/runtime"));
    const run = user.start(["job", "run", "--direct-runner"], job);
    await run.until(/src\/transforms\.ts:\d+:\d+: error TS\d+: .*wiht/);
    await run.stop();
  });

  it("reports three mistakes of its configuration with line and column", async () => {
    const job = await user.job("my-job");
    const path = join(job, "klio-job.yaml");
    const text = await readFile(path, "utf8");
    await writeFile(
      path,
      text
        .replace("attempts: 5", "atempts: 5")
        .replace("grace_period: 30s", "grace_period: soon")
        .replace("file_suffix: .txt", "file_suffix: [.txt]"),
    );
    const { code, stderr } = await user.klio(["job", "run", "--direct-runner"], job);
    expect(code).toBe(1);
    expect(stderr).toContain("klio-job.yaml has 3 mistakes");
    expect(stderr.match(/klio-job\.yaml:\d+:\d+: error/g)).toHaveLength(3);
    expect(stderr).toContain('Did you mean "attempts"?');
    const json = await user.klio(["job", "build", "--json"], job);
    expect((JSON.parse(json.stdout) as { error: { diagnostics: unknown[] } }).error.diagnostics).toHaveLength(3);
  });

  it("says which runners there are when none is asked for", async () => {
    const job = await user.job("my-job");
    const { code, stderr } = await user.klio(["job", "run", "-O", "pipeline_options.runner=DataflowRunner"], job);
    expect(code).toBe(1);
    for (const runner of ["DirectRunner", "DockerRunner", "DirectGKERunner", "DataflowRunner"])
      expect(stderr).toContain(runner);
    expect(stderr).toContain("klio job run --direct-runner");
  });

  it("leaves nothing behind when its command is killed", async () => {
    const job = await user.job("my-job");
    const run = user.start(["job", "run", "--direct-runner"], job);
    await run.until("is ready");
    await run.stop("SIGKILL");
    expect(await user.processesLeft(10_000)).toEqual([]);
    expect(user.leftovers()).toEqual([]);
  });

  it("finishes what is in hand after Ctrl-C, however long its grace period allows", async () => {
    const job = await user.job("my-job");
    const path = join(job, "src/transforms.ts");
    const text = await readFile(path, "utf8");
    await writeFile(
      path,
      text.replace(
        "ctx.logger.info",
        'ctx.logger.info("it is in hand");\n      await new Promise((r) => setTimeout(r, 7_000));\n      ctx.logger.info',
      ),
    );
    const run = user.start(["job", "run", "--direct-runner"], job);
    await run.until("is ready");
    await user.klio(["message", "publish", "slow"], job);
    await run.until("it is in hand");
    const { code, stderr } = await run.stop("SIGINT");
    expect(stderr).toContain("slow processed");
    expect(code).toBe(0);
  });

  it("tells who waits for a message when the session ends", async () => {
    const job = await user.job("my-job");
    const run = user.start(["job", "run", "--direct-runner"], job);
    await run.until("is ready");
    const topic = "projects/test-project/topics/my-job-output"; // nobody works on what is sent there
    const waiting = user.start(
      ["message", "publish", "x", "--wait", "-O", `job_config.events.inputs.0.topic=${topic}`],
      job,
    );
    await waiting.until("x → message");
    await run.stop();
    const { code, stderr } = await waiting.finished;
    expect(code).toBe(1);
    expect(stderr).toContain("the local session ended before the job was done with: x");
  });

  it("is refused when its subscription exists on another topic, where its messages would be lost", async () => {
    const [a, b] = [await user.job("job-a"), await user.job("job-b")];
    const run = user.start(["job", "run", "--direct-runner"], a);
    await run.until("is ready");
    const subscription = "projects/test-project/subscriptions/job-a-input-job-a";
    const other = await user.klio(
      ["job", "run", "--direct-runner", "-O", `job_config.events.inputs.0.subscription=${subscription}`],
      b,
    );
    expect(other.code).toBe(1);
    expect(other.stderr).toContain("exists and receives from projects/test-project/topics/job-a-input");
    await run.stop();
    expect(await user.processesLeft()).toEqual([]);
  });

  it("shares its session with another job, and whoever leaves first disturbs nobody", async () => {
    const [a, b] = [await user.job("job-a"), await user.job("job-b")];
    const runs = [a, b].map((job) => user.start(["job", "run", "--direct-runner"], job));
    await Promise.all(runs.map((run) => run.until("is ready")));
    await runs[0]?.stop();
    expect((await user.klio(["message", "publish", "x", "--wait"], b)).stdout).toContain("x processed");
    await runs[1]?.stop();
    expect(await user.processesLeft()).toEqual([]);
  });
});

describe("job create", () => {
  it("writes what a job needs, and names the template's values", async () => {
    const job = await user.job("my-job", "--input-topic", "projects/other-project/topics/songs");
    const config = await readFile(join(job, "klio-job.yaml"), "utf8");
    expect(config).toContain("topic: projects/other-project/topics/songs");
    expect(config).toContain("subscription: projects/test-project/subscriptions/songs-my-job");
    for (const file of ["README.md", ".gitignore", ".npmrc", "tsconfig.json", "src/run.ts", "test/job.test.ts"]) {
      expect(existsSync(join(job, file)), file).toBe(true);
    }
  });

  it("fills the directory it is run in, and leaves it the same one", async () => {
    const here = join(user.home, "here");
    await mkdir(here);
    const { stat } = await import("node:fs/promises");
    const before = (await stat(here)).ino;
    const made = await user.klio(
      ["job", "create", "--use-defaults", "--no-install", "--job-name", "my-job", "--gcp-project", "test-project"],
      here,
    );
    expect(made.code).toBe(0);
    expect((await stat(here)).ino).toBe(before);
    expect(existsSync(join(here, "klio-job.yaml"))).toBe(true);
  });

  it.each([
    [["--job-name", "My Job"], "--job-name", "lower-case letters"],
    [["--gcp-project", "x"], "--gcp-project", "6 to 30"],
    [["--input-topic", "songs"], "--input-topic", "projects/PROJECT_ID/topics/TOPIC_ID"],
    [["--output-data-location", "/tmp"], "--output-data-location", "gs://BUCKET"],
    [["--from", "straming"], "straming", "Did you mean --from streaming?"],
  ])("refuses %j and says the rule", async (flags, named, rule) => {
    const all = { "--job-name": "my-job", "--gcp-project": "test-project", [flags[0] ?? ""]: flags[1] ?? "" };
    const args = Object.entries(all).flat();
    const { code, stderr } = await user.klio([
      "job",
      "create",
      "--use-defaults",
      "--no-install",
      "--output",
      "j",
      ...args,
    ]);
    expect(code).toBe(1);
    expect(stderr).toContain(named);
    expect(stderr).toContain(rule);
    expect(existsSync(join(user.home, "j"))).toBe(false);
  });

  it("names the flag of a missing answer, and refuses a directory that is not empty", async () => {
    const missing = await user.klio(["job", "create", "--use-defaults", "--output", "new"]);
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain("--job-name is missing");
    const job = await user.job("my-job");
    const before = readFileSync(join(job, "klio-job.yaml"), "utf8");
    const again = await user.klio([
      "job",
      "create",
      "--use-defaults",
      "--job-name",
      "x",
      "--gcp-project",
      "test-project",
      "--output",
      job,
    ]);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain("is not empty");
    expect(readFileSync(join(job, "klio-job.yaml"), "utf8")).toBe(before);
  });
});

describe("what is mistyped", () => {
  it("is answered with what was probably meant", async () => {
    const command = await user.klio(["jbo", "run"]);
    expect(command.code).toBe(2);
    expect(command.stderr).toContain("Did you mean: klio job run");
    const flag = await user.klio(["job", "run", "--direct-runer"]);
    expect(flag.code).toBe(2);
    expect(flag.stderr).toContain("Did you mean --direct-runner?");
  });
});

describe("message publish", () => {
  it("says what to do when no session runs and nobody is signed in", async () => {
    const job = await user.job("my-job");
    const { code, stderr } = await user.klio(["message", "publish", "x"], job, { METADATA_SERVER_DETECTION: "none" });
    expect(code).toBe(1);
    expect(stderr).toContain("in Google Cloud, project test-project");
    expect(stderr).toContain("klio job run --direct-runner");
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  it("refuses combinations that cannot be meant, a missing topic, a job that is not there", async () => {
    const job = await user.job("my-job");
    const publish = (...args: string[]) => user.klio(["message", "publish", "x", ...args], job);
    expect((await publish("-t", "-b")).stderr).toContain("exclude each other");
    expect((await publish("-n", "-f")).stderr).toContain("has no place for --force");
    expect((await publish("-n")).stderr).toContain("allow_non_klio_messages");
    const run = user.start(["job", "run", "--direct-runner"], job);
    await run.until("is ready");
    const missing = await publish("-O", "job_config.events.inputs.0.topic=projects/test-project/topics/missing");
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain("there is no topic projects/test-project/topics/missing");
    expect(missing.stderr).not.toMatch(/\n\s+at /);
    await run.stop();
    const nowhere = await user.klio(["message", "publish", "x"], user.home);
    expect(nowhere).toMatchObject({ code: 1 });
    expect(nowhere.stderr).toContain("there is no klio-job.yaml");
  });

  it("lists what could not be published, publishes the rest, and fails", async () => {
    const job = await user.job("my-job");
    const run = user.start(["job", "run", "--direct-runner"], job);
    await run.until("is ready");
    const { code, stderr, stdout } = await user.klio(["message", "publish", "ok", "", "--wait", "--json"], job);
    expect(code).toBe(1);
    expect(stderr + stdout).toContain("could not be published");
    const { error } = JSON.parse(stdout) as {
      error: { published: { entity_id: string }[]; failed: { entity_id: string }[] };
    };
    expect(error.published.map((p) => p.entity_id)).toEqual(["ok"]);
    expect(error.failed.map((p) => p.entity_id)).toEqual([""]);
    await run.stop();
  });
});
