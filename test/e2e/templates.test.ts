import { existsSync, readdirSync, readFileSync } from "node:fs";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { User } from "../support/klio.js";

let user: User;

beforeEach(async () => {
  user = await User.create();
});

afterEach(() => user.remove());

const options = [
  ...[
    "--region",
    "europe-west4",
    "--use-fnapi",
    "--experiments",
    "one,two",
    "--num-workers",
    "3",
    "--max-num-workers",
    "7",
  ],
  ...["--autoscaling-algorithm", "THROUGHPUT_BASED", "--disk-size-gb", "64", "--worker-machine-type", "n1-standard-4"],
  ...[
    "--worker-image",
    "gcr.io/test-project/mine",
    "--staging-location",
    "gs://test-tmp/s",
    "--temp-location",
    "gs://test-tmp/t",
  ],
  ...["--dependency", "job_name=parent-job,gcp_project=test-project,input_topic=projects/test-project/topics/parents"],
];
const streaming = [
  ...["--job-type", "streaming", "--input-topic", "projects/test-project/topics/songs"],
  ...["--output-topic", "projects/test-project/topics/done", "--input-data-location", "gs://all-input/some folder"],
  ...["--output-data-location", "gs://all-output/it's"],
];

interface Case {
  readonly template: string;
  readonly how: string;
  readonly flags: readonly string[];
  /** What is sent to it; absent for a batch job. */
  readonly element?: string;
  /** Files its run leaves, below the job's directory. */
  readonly outputs: readonly string[];
  /** Where its sample goes before it is sent. */
  readonly input?: string;
}

const storage = (path: string) => `.klio/storage/${path}`;
const recording = "sense-and-sensibility-1";
const cases: readonly Case[] = [
  ...[
    { how: "defaults", flags: [], folder: "test-project-output/my-job", inputs: "test-project-input/my-job" },
    {
      how: "every flag",
      flags: [...options, ...streaming],
      folder: "all-output/it's",
      inputs: "all-input/some folder",
    },
  ].flatMap(({ how, flags, folder, inputs }): Case[] => [
    { template: "streaming", how, flags, element: "ada", outputs: [storage(`${folder}/ada.txt`)] },
    {
      template: "multi-input",
      how,
      flags: flags.length === 0 ? [] : [...flags, "--second-input-topic", "projects/test-project/topics/more"],
      element: "ada",
      outputs: [storage(`${folder}/ada.txt`)],
    },
    {
      template: "audio",
      how,
      flags,
      element: recording,
      input: storage(inputs),
      outputs: [storage(`${folder}/${recording}.png`)],
    },
  ]),
  { template: "minimal", how: "defaults", flags: [], element: "ada", outputs: [] },
  {
    template: "minimal",
    how: "every flag",
    flags: [...options, "--job-type", "streaming", "--input-topic", "projects/test-project/topics/songs"],
    element: "ada",
    outputs: [],
  },
  {
    template: "batch",
    how: "defaults",
    flags: [],
    outputs: [
      "my-job_output_elements-00000-of-00001.txt",
      ...["ada", "grace", "margaret"].map((n) => `my-job-output/${n}.count`),
    ],
  },
  {
    template: "batch",
    how: "every flag",
    flags: [
      ...[...options, "--job-type", "batch", "--batch-event-input", "lists/all of them.txt"],
      ...["--batch-event-output", "out/done $1", "--batch-data-input", "in put", "--batch-data-output", "out/counts"],
    ],
    outputs: ["out/done $1-00000-of-00001.txt", "out/counts/ada.count"],
  },
];

// An installed job as its user has it: from the registry, with the lockfile it came with.
describe.each(cases)("the template $template with $how", ({ template, flags, element, outputs, input, how }) => {
  it("makes a job that installs, passes its own tests and types, and runs", async () => {
    const job = join(user.home, "my-job");
    const needed = ["--from", template, "--job-name", "my-job", "--gcp-project", "test-project", "--use-defaults"];
    const created = await user.klio(["job", "create", ...needed, ...flags, "--output", job, "--json"]);
    expect(JSON.parse(created.stdout)).toMatchObject({ job: "my-job", template, installed: true });
    expect(existsSync(join(job, "Dockerfile"))).toBe(how === "defaults");
    expectOnlyRuntime(job, template);
    const npm = (...args: string[]) =>
      execa("npm", args, { cwd: job, env: user.environment, extendEnv: false, reject: false, all: true });
    const tests = await npm("test");
    expect(tests.exitCode, tests.all).toBe(0);
    expect(tests.stdout).toMatch(template === "audio" ? /Tests .*\d+ passed/ : /# pass [1-9]/);
    const types = await npm("run", "types");
    expect(types.exitCode, types.all).toBe(0);
    if (element === undefined) {
      const ran = await user.klio(["job", "run", "--direct-runner"], job);
      expect(ran.code, ran.stderr).toBe(0);
      expect(ran.stderr).toContain("3 processed");
    } else {
      const run = user.start(["job", "run", "--direct-runner"], job);
      await run.until("is ready");
      if (input !== undefined) {
        await mkdir(join(job, input), { recursive: true });
        await cp(join(job, "recordings"), join(job, input), { recursive: true });
      }
      const published = await user.klio(["message", "publish", element, "--wait"], job);
      expect(published.stdout, published.stderr).toContain(`${element} processed`);
      expect(run.stderr).not.toContain("error TS");
      expect((await run.stop()).code).toBe(0);
    }
    for (const file of outputs) expect(existsSync(join(job, file)), file).toBe(true);
  }, 300_000);
});

/** Everything but `audio`, which needs a Fourier transform and a picture, imports nothing but the runtime and Node. */
function expectOnlyRuntime(job: string, template: string): void {
  if (template === "audio") return;
  for (const folder of ["src", "test"]) {
    for (const file of readdirSync(join(job, folder))) {
      const imports = [...readFileSync(join(job, folder, file), "utf8").matchAll(/from "([^"]+)"/g)].map(
        (m) => m[1] ?? "",
      );
      expect(imports.filter((i) => !/^(\.|node:|@klio\/runtime)/.test(i))).toEqual([]);
    }
  }
}

describe("the launch file of a job", () => {
  it("starts what a debugger attaches to, down to the workers, with code that leads to its source", async () => {
    const job = await user.job("my-job");
    const { configurations } = JSON.parse(await readFile(join(job, ".vscode/launch.json"), "utf8")) as {
      configurations: { runtimeExecutable: string; runtimeArgs: string[]; outFiles: string[] }[];
    };
    const [launch] = configurations;
    expect(launch?.runtimeExecutable).toBe("klio");
    // As VS Code attaches: every process that inherits NODE_OPTIONS reports itself.
    const seen = join(user.home, "seen");
    const probe = join(user.home, "probe.cjs");
    await writeFile(probe, `require("node:fs").appendFileSync(${JSON.stringify(seen)}, process.argv[1] + "\\n");`);
    const run = user.start(launch?.runtimeArgs ?? [], job, { NODE_OPTIONS: `--require ${probe}` });
    await run.until("is ready");
    const started = (await readFile(seen, "utf8"))
      .trim()
      .split("\n")
      .map((path) => basename(path));
    expect(started).toEqual(expect.arrayContaining(["run.js", "bin.js", "worker.js"]));
    expect(started.filter((name) => name === "worker.js")).toHaveLength(1);
    // outFiles of the launch file: ${workspaceFolder}/.klio/run/**/*.js
    const [build = ""] = readdirSync(join(job, ".klio/run"));
    expect(launch?.outFiles).toEqual(["${workspaceFolder}/.klio/run/**/*.js"]);
    const map = join(job, ".klio/run", build, "src/transforms.js.map");
    const { sources } = JSON.parse(await readFile(map, "utf8")) as { sources: string[] };
    expect(sources.map((source) => join(dirname(map), source))).toEqual([join(job, "src/transforms.ts")]);
    await run.stop();
  });
});
