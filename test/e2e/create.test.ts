import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startPubSub, startStorage } from "@klio/emulators";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { User } from "../support/klio.js";
import { root } from "../support/rig.js";

let user: User;

beforeEach(async () => {
  user = await User.create();
});

afterEach(() => user.remove());

const needed = ["--job-name", "my-job", "--gcp-project", "test-project", "--use-defaults", "--no-install"];
const create = (...args: string[]) => user.klio(["job", "create", ...needed, "--output", "job", ...args]);
const job = (...path: string[]) => join(user.home, "job", ...path);
const configOf = () =>
  parse(readFileSync(job("klio-job.yaml"), "utf8")) as {
    pipeline_options: Record<string, unknown>;
    job_config: { dependencies?: unknown; events: { inputs: Record<string, unknown>[] } };
  };

describe("the flags of job create", () => {
  it("are Klio's, and mean the same with a space and with an equals sign", async () => {
    const flags: readonly (readonly [string, string])[] = [
      ["region", "europe-west4"],
      ["experiments", "one,two"],
      ["num-workers", "3"],
      ["max-num-workers", "7"],
      ["autoscaling-algorithm", "THROUGHPUT_BASED"],
      ["disk-size-gb", "64"],
      ["machine-type", "n1-standard-4"],
      ["worker-image", "gcr.io/test-project/mine"],
      ["staging-location", "gs://test-staging/a"],
      ["temp-location", "gs://test-temp/b"],
      ["use-fnapi", "true"],
    ];
    const made = await create(...flags.flatMap(([name, value]) => [`--${name}`, value]));
    expect(made.code, made.stderr).toBe(0);
    const withSpaces = readFileSync(job("klio-job.yaml"), "utf8");
    const again = await create("--force", ...flags.map(([name, value]) => `--${name}=${value}`));
    expect(again.code, again.stderr).toBe(0);
    expect(readFileSync(job("klio-job.yaml"), "utf8")).toBe(withSpaces);
    expect(configOf().pipeline_options).toEqual({
      project: "test-project",
      runner: "DirectRunner",
      region: "europe-west4",
      num_workers: 3,
      max_num_workers: 7,
      autoscaling_algorithm: "THROUGHPUT_BASED",
      disk_size_gb: 64,
      worker_machine_type: "n1-standard-4",
      worker_harness_container_image: "gcr.io/test-project/mine",
      staging_location: "gs://test-staging/a",
      temp_location: "gs://test-temp/b",
      experiments: ["beam_fn_api", "one", "two"],
    });
  });

  it.each([
    [["--use-fnapi"], ["beam_fn_api"]],
    [["--use-fnapi", "yes"], ["beam_fn_api"]],
    [["--use-fnapi=no"], undefined],
    [["--use-fnapi", "false"], undefined],
  ])("take switches with a word or without one: %j", async (args, experiments) => {
    expect((await create(...args)).code).toBe(0);
    expect(configOf().pipeline_options["experiments"]).toEqual(experiments);
  });

  it.each([
    [["--use-fnapi=perhaps"], /use-fnapi/],
    [["--regoin", "europe-west1"], /Did you mean --region\?/],
    [["--region", "mars"], /It must be a region/],
    [["--num-workers", "many"], /It must be a whole number/],
    [["--batch-event-input", "x.txt"], /--batch-event-input has no meaning for the template streaming/],
    [["--job-type", "batch", "--from", "audio"], /the template audio makes a streaming job, not a batch one/],
    [["--dependency", "job_nam=x"], /did you mean job_name\?/],
    [["--dependency", "gcp_project=test-project"], /it needs job_name=NAME/],
    [["--dependency", "job_name=p,region=a\nevil: 1"], /is not right/],
    [["--answer", "x=y"], /--answer x has no meaning/],
    [["--job-type", "batch", "--batch-event-input", "klio-job.yaml"], /klio-job\.yaml would be two files of the job/],
    [
      ["--job-type", "batch", "--batch-event-input", "a", "--batch-data-input", "a"],
      /a would be a file of the job and the folder/,
    ],
  ])("are refused when they are wrong: %j", async (args, said) => {
    const { code, stderr } = await create(...args);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toMatch(said);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(readdirSync(user.home).filter((f) => f === "job" || f.startsWith(".klio-create"))).toEqual([]);
  });

  it("name parents, whose output is this job's input", async () => {
    const parents = [
      "job_name=one",
      "job_name=two,gcp_project=other-project,region=europe-west1,input_topics=projects/other-project/topics/aaa,projects/other-project/topics/bbb",
    ];
    const made = await create("--from", "multi-input", ...parents.flatMap((p) => ["--dependency", p]));
    expect(made.code, made.stderr).toBe(0);
    const { job_config } = configOf();
    expect(job_config.events.inputs.map((i) => i["topic"])).toEqual([
      "projects/test-project/topics/one-output",
      "projects/other-project/topics/two-output",
    ]);
    expect(job_config.dependencies).toEqual([
      { job_name: "one", gcp_project: "test-project" },
      {
        job_name: "two",
        gcp_project: "other-project",
        region: "europe-west1",
        input_topics: ["projects/other-project/topics/aaa", "projects/other-project/topics/bbb"],
      },
    ]);
    expect((await user.klio(["job", "build"], job())).code).toBe(0);
  });

  it("create the job's resources where the environment says", async () => {
    const [pubsub, storage] = await Promise.all([startPubSub(), startStorage({ root: join(user.home, "buckets") })]);
    try {
      const half = await user.klio(["job", "create", ...needed, "--output", "half", "--create-resources"], user.home, {
        PUBSUB_EMULATOR_HOST: pubsub.address,
      });
      expect(half.stderr).toContain("only one is set");
      const made = await user.klio(
        ["job", "create", ...needed, "--output", "job", "--create-resources", "--json"],
        user.home,
        {
          PUBSUB_EMULATOR_HOST: pubsub.address,
          STORAGE_EMULATOR_HOST: storage.url,
        },
      );
      expect(made.code, made.stderr).toBe(0);
      const { resources } = JSON.parse(made.stdout) as { resources: { kind: string; name: string; state: string }[] };
      expect(resources.map((r) => `${r.state} ${r.kind} ${r.name.split("/").at(-1) ?? ""}`).sort()).toEqual([
        "created bucket test-project-input",
        "created bucket test-project-output",
        "created subscription my-job-dead-letter",
        "created subscription my-job-input-my-job",
        "created topic my-job-dead-letter",
        "created topic my-job-input",
        "created topic my-job-output",
      ]);
      expect(existsSync(join(user.home, "half"))).toBe(false);
    } finally {
      await Promise.all([pubsub.close(), storage.close()]);
    }
  });
});

it("job create --list-templates says which there are", async () => {
  const { stdout } = await user.klio(["job", "create", "--list-templates"]);
  expect(stdout.split("\n").map((line) => line.split(/ {2,}/).slice(0, 2).join(" "))).toEqual([
    ...["audio streaming", "batch batch", "minimal streaming", "multi-input streaming", "streaming streaming"],
    "",
  ]);
});

describe("what job create writes", () => {
  it("is nothing with --dry-run, which shows the tree and the files", async () => {
    const { code, stdout } = await create("--dry-run");
    expect(code).toBe(0);
    expect(stdout).toContain(
      `${job()}\n├── .dockerignore\n├── .gitignore\n├── .npmrc\n├── .vscode\n│   └── launch.json\n`,
    );
    expect(stdout).toMatch(/--- klio-job\.yaml \(\d+ bytes\)\n# yaml-language-server/);
    expect(stdout).toMatch(/--- vendor\/klio-runtime-0\.1\.0\.tgz \(\d+ bytes\)\n?$/m);
    expect(existsSync(job())).toBe(false);
    const json = JSON.parse((await create("--dry-run", "--json")).stdout) as {
      contents: { path: string; text?: string }[];
    };
    expect(json.contents.find((c) => c.path === "src/run.ts")?.text).toContain("defineJob");
  });

  it("replaces only with --force, which says what, and keeps the rest", async () => {
    await create();
    writeFileSync(job("src/transforms.ts"), "mine");
    writeFileSync(job("src/more.ts"), "more");
    const refused = await create();
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("is not empty");
    expect(readFileSync(job("src/transforms.ts"), "utf8")).toBe("mine");
    const dry = await create("--force", "--dry-run");
    expect(dry.stderr).toMatch(/! overwritten: .*src\/transforms\.ts/);
    expect(readFileSync(job("src/transforms.ts"), "utf8")).toBe("mine");
    const forced = await create("--force");
    expect(forced.code).toBe(0);
    expect(forced.stderr).toMatch(/! overwritten: .*src\/transforms\.ts/);
    expect(readFileSync(job("src/transforms.ts"), "utf8")).toContain("defineTransform");
    expect(readFileSync(job("src/more.ts"), "utf8")).toBe("more");
    expect(readdirSync(job()).filter((f) => f.startsWith(".klio-create"))).toEqual([]);
  });

  it("never goes through a link, nor over a folder", async () => {
    mkdirSync(job(), { recursive: true });
    mkdirSync(join(user.home, "elsewhere"));
    symlinkSync(join(user.home, "elsewhere"), job("src"));
    const linked = await create("--force");
    expect(linked.code).toBe(1);
    expect(linked.stderr).toContain("src is a symbolic link");
    expect(readdirSync(join(user.home, "elsewhere"))).toEqual([]);
    expect(readdirSync(job())).toEqual(["src"]);
  });

  it("goes into a new directory below others that are not there, all of it or nothing", async () => {
    const deep = await user.klio(["job", "create", ...needed, "--output", "a/b/c"]);
    expect(deep.code).toBe(0);
    expect(existsSync(join(user.home, "a/b/c/klio-job.yaml"))).toBe(true);
    writeFileSync(join(user.home, "file"), "");
    const blocked = await user.klio(["job", "create", ...needed, "--output", "file/job"]);
    expect(blocked.code).toBe(1);
    expect(readFileSync(join(user.home, "file"), "utf8")).toBe("");
  });
});

describe("a template of one's own", () => {
  const folder = () => join(user.home, "mine");
  const manifest = (more: object = {}) => {
    writeFileSync(
      join(folder(), "template.json"),
      JSON.stringify({
        version: 1,
        description: "mine",
        jobType: "streaming",
        questions: ["input-topic", { key: "colour", prompt: "Colour", pattern: "^(red|blue)$", rule: "red or blue" }],
        files: ["klio-job.yaml.hbs", "src", { from: "note.hbs", to: "notes/{{colour}}.txt" }],
        ...more,
      }),
    );
  };

  beforeEach(() => {
    mkdirSync(join(folder(), "files/src/__tests__"), { recursive: true });
    writeFileSync(join(folder(), "files/klio-job.yaml.hbs"), "job_name: {{yaml jobName}}\n");
    writeFileSync(join(folder(), "files/src/run.ts"), "// {{not rendered}}\n");
    writeFileSync(join(folder(), "files/src/__tests__/a.ts"), "");
    writeFileSync(join(folder(), "files/note.hbs"), "{{colour}}");
    manifest();
  });

  const from = (...args: string[]) => create("--from", "./mine", ...args);

  it("has questions of its own, and files whose place an answer gives", async () => {
    const missing = await from();
    expect(missing.stderr).toContain("--answer colour is missing");
    expect(missing.stderr).toContain("--answer colour=VALUE (red or blue)");
    expect((await from("--answer", "colour=green")).stderr).toContain("It must be red or blue");
    expect((await from("--answer", "color=red")).stderr).toContain("Did you mean --answer colour=…?");
    expect((await from("--answer", "colour=red")).code).toBe(0);
    expect(readFileSync(job("notes/red.txt"), "utf8")).toBe("red");
    expect(readFileSync(job("src/run.ts"), "utf8")).toBe("// {{not rendered}}\n");
    expect(existsSync(job("src/__tests__/a.ts"))).toBe(true);
  });

  it("as the guide shows it makes a job that builds", async () => {
    const guide = readFileSync(join(root, "docs/guide/templates.md"), "utf8");
    const block = (language: string) => new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``).exec(guide)?.[1] ?? "";
    mkdirSync(join(user.home, "my-template/files/src"), { recursive: true });
    writeFileSync(join(user.home, "my-template/template.json"), block("json"));
    writeFileSync(join(user.home, "my-template/files/klio-job.yaml.hbs"), block("yaml"));
    writeFileSync(join(user.home, "my-template/files/src/run.ts"), block("ts"));
    writeFileSync(join(user.home, "my-template/files/sample.txt"), "sample");
    const [, , ...args] = block("sh").trim().split(" ");
    const made = await user.klio(["job", ...args]);
    expect(made.code, made.stderr).toBe(0);
    expect(readdirSync(join(user.home, "my-job"), { recursive: true }).map(String).sort()).toEqual([
      "klio-job.yaml",
      "samples",
      "samples/sample.txt",
      "src",
      "src/run.ts",
      "vendor",
      "vendor/klio-runtime-0.1.0.tgz",
    ]);
    const built = await user.klio(["job", "build"], join(user.home, "my-job"));
    expect(built.code, built.stderr).toBe(0);
    const effective = readFileSync(join(user.home, "my-job/.klio/build/effective.json"), "utf8");
    expect(JSON.parse(effective)).toMatchObject({ job_config: { user: { width: 320 } } });
  });

  it.each<[string, object | (() => void), RegExp]>([
    [
      "a link",
      () => {
        symlinkSync("/etc/passwd", join(folder(), "files/src/link"));
      },
      /files\/src\/link is a symbolic link/,
    ],
    ["..", { files: ["../../secret"] }, /"\.\.\/\.\.\/secret", which does not lie in files\//],
    ["an absolute path", { files: ["/etc/passwd"] }, /"\/etc\/passwd", which does not lie in files\//],
    ["a place outside", { files: [{ from: "src", to: "../out" }] }, /"\.\.\/out", which does not lie in the job/],
    ["a file that is not there", { files: ["nothing.txt"] }, /names nothing\.txt, which is not in files\//],
    ["a wrong manifest", { version: 2, files: "all" }, /"version" must be 1; "files" must be a list/],
    ["a question nobody knows", { questions: ["input-tpic"] }, /there is no question "input-tpic"/],
    [
      "a question that is asked already",
      { questions: [{ key: "jobName", prompt: "?" }] },
      /"jobName" is asked already/,
    ],
    ["a broken pattern", { questions: [{ key: "x", prompt: "?", pattern: "(" }] }, /Invalid regular expression/],
    [
      "a value nobody gives",
      () => {
        writeFileSync(join(folder(), "files/klio-job.yaml.hbs"), "{{nope}}");
      },
      /klio-job\.yaml\.hbs: .*nope/,
    ],
    [
      "a value nobody is asked for, in a helper",
      () => {
        writeFileSync(join(folder(), "files/klio-job.yaml.hbs"), "{{yaml outputTopic}}");
      },
      /\{\{yaml …\}\} is given a value that nobody was asked for/,
    ],
  ])("is refused with %s", async (_, what, said) => {
    if (typeof what === "function") (what as () => void)();
    else manifest(what);
    const { code, stderr } = await from("--answer", "colour=red");
    expect(code).toBe(1);
    expect(stderr).toContain("TEMPLATE_BROKEN");
    expect(stderr).toMatch(said);
    expect(existsSync(job())).toBe(false);
  });
});
