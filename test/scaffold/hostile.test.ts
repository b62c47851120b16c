import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "@klio/config";
import { DockerfileParser, type Label } from "dockerfile-ast";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import {
  type Answers,
  askNobody,
  collectAnswers,
  findTemplate,
  type RenderedFile,
  renderJob,
  templateQuestions,
} from "../../src/scaffold/index.js";
import { root } from "../support/rig.js";

const templates = join(root, "dist/templates");
const tarball = join(root, "dist/vendor/klio-runtime-0.1.0.tgz");
const runs = 2_000;
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "klio-hostile-"));
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Text that shells, YAML, handlebars, JSON, Docker, paths and Markdown see something in. */
const hostile = fc.oneof(
  fc.constantFrom(
    "$(touch /tmp/x)",
    "`id`",
    "; rm -rf /",
    "{{jobName}}",
    "{{{constructor}}}",
    "${HOME}",
    "$project",
    "$$",
    "- a: b",
    "a: b",
    "# no",
    "&anchor",
    "*alias",
    "!tag",
    "'",
    '"',
    "\\",
    "|",
    ">",
    "%",
    "@",
    "yes",
    "null",
    "1e3",
    "0x1F",
    "~",
    "../../etc/passwd",
    "/absolute",
    "-leading",
    " spaced ",
    "new\nline",
    "nul\0",
    "\u2028",
    "\u202e",
    "\ud800",
    "```",
    "[x](y)",
    "🎵",
    "[a, b]",
    "{a: b}",
    "a,b",
    "\u007f",
    "\u0085",
  ),
  fc.string({ unit: "binary", maxLength: 12 }),
);
const name = fc.array(hostile, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(""));
const jobName = fc.oneof(name, fc.stringMatching(/^[a-z][-a-z0-9]{0,30}$/));

interface Case {
  readonly template: string;
  readonly answers: Answers;
}

const place = fc.oneof(
  name,
  name.map((n) => `folder/${n}`),
  name.map((n) => `gs://a-bucket/${n}`),
);
const cases: fc.Arbitrary<Case> = fc.oneof(
  fc.record({
    template: fc.constantFrom("streaming", "audio", "multi-input"),
    answers: fc.record({
      "job-name": fc.oneof({ weight: 1, arbitrary: jobName }, { weight: 3, arbitrary: fc.constant("my-job") }),
      "gcp-project": fc.oneof({ weight: 1, arbitrary: name }, { weight: 9, arbitrary: fc.constant("my-project") }),
      "input-topic": fc
        .oneof(
          { weight: 1, arbitrary: name },
          { weight: 3, arbitrary: fc.stringMatching(/^[A-Za-z][A-Za-z0-9_.~+%-]{2,20}$/) },
        )
        .map((id) => `projects/my-project/topics/${id}`),
      "input-data-location": name.map((n) => `gs://a-bucket/${n}`),
      "output-data-location": name.map((n) => `gs://b-bucket/${n}`),
    }),
  }),
  fc.record({
    template: fc.constant("batch"),
    answers: fc.record({
      "job-name": fc.constant("my-job"),
      "gcp-project": fc.constant("my-project"),
      "batch-event-input": place,
      "batch-event-output": place,
      "batch-data-input": place,
      "batch-data-output": place,
    }),
  }),
);

async function render({ template, answers }: Case): Promise<RenderedFile[] | undefined> {
  const chosen = findTemplate(templates, template, folder);
  const given = { flags: answers, answers: new Map<string, string>(), dependencies: ["job_name=parent"] };
  try {
    return await renderJob(chosen, await collectAnswers(chosen, given, askNobody), tarball);
  } catch (error) {
    // Refused: by a rule that is named, and by nothing else.
    expect(error).toMatchObject({
      name: "KlioError",
      code: expect.stringMatching(/^CREATE_(ANSWER|PATHS)$/) as string,
    });
    expect((error as { hint?: string }).hint).toBeTruthy();
    return undefined;
  }
}

const textOf = (files: readonly RenderedFile[], path: string) =>
  files.find((f) => f.path === path)?.data.toString() ?? "";

function checkYaml(files: readonly RenderedFile[], { answers, template }: Case): void {
  const text = textOf(files, "klio-job.yaml");
  const { config, diagnostics } = loadConfig({ file: "klio-job.yaml", text });
  expect(diagnostics.filter((d) => d.severity === "error")).toEqual([]);
  expect(config?.job_name).toBe(answers["job-name"]);
  const { events, data } = config?.job_config ?? {};
  if (template === "batch") {
    expect([events?.inputs[0], events?.outputs[0]]).toMatchObject([
      { location: answers["batch-event-input"] },
      { location: answers["batch-event-output"] },
    ]);
    expect([data?.inputs[0]?.location, data?.outputs[0]?.location]).toEqual([
      answers["batch-data-input"],
      answers["batch-data-output"],
    ]);
  } else {
    expect(events?.inputs[0]).toMatchObject({ topic: answers["input-topic"] });
    expect([data?.inputs[0]?.location, data?.outputs[0]?.location]).toEqual([
      answers["input-data-location"],
      answers["output-data-location"],
    ]);
  }
  // Nothing but the keys of the template.
  const keys = Object.keys(parse(text) as object);
  expect(keys).toEqual(["version", "job_name", "pipeline_options", "job_config"]);
}

function checkOthers(files: readonly RenderedFile[], { answers }: Case): void {
  for (const { path, data } of files.filter((f) => f.path.endsWith(".json"))) {
    expect(() => JSON.parse(data.toString()) as unknown, path).not.toThrow();
  }
  expect((JSON.parse(textOf(files, "package.json")) as { name: string }).name).toBe(answers["job-name"]);
  const launch = JSON.parse(textOf(files, ".vscode/launch.json")) as { configurations: { name: string }[] };
  expect(launch.configurations[0]?.name).toBe(`run ${answers["job-name"] ?? ""}`);
  const docker = DockerfileParser.parse(textOf(files, "Dockerfile"));
  const labels = docker
    .getInstructions()
    .filter((instruction): instruction is Label => instruction.getKeyword() === "LABEL")
    .flatMap((label) => label.getProperties());
  expect(labels.map((l) => [l.getName(), l.getValue()])).toEqual([
    ["org.opencontainers.image.title", answers["job-name"]],
  ]);
  const project = docker
    .getENVs()
    .flatMap((e) => e.getProperties())
    .find((p) => p.getName() === "GOOGLE_CLOUD_PROJECT");
  expect(project?.getValue()).toBe(answers["gcp-project"]);
  for (const { path } of files) {
    expect(path.startsWith("/") || path.split("/").includes(".."), path).toBe(false);
  }
}

describe("names that are hostile to shells, YAML, handlebars, JSON, Docker and paths", () => {
  it(`are refused by a rule that is named, or carried as data (${runs} jobs)`, async () => {
    let made = 0;
    let refused = 0;
    const seed = Number(process.env["KLIO_SEED"] ?? Date.now() % 1e9);
    await fc.assert(
      fc.asyncProperty(cases, async (one) => {
        const files = await render(one);
        if (files === undefined) {
          refused += 1;
          return;
        }
        made += 1;
        checkYaml(files, one);
        checkOthers(files, one);
      }),
      { numRuns: runs, seed },
    );
    console.log(`seed ${seed}: ${made} made, ${refused} refused`);
    expect(made).toBeGreaterThan(runs / 10);
    expect(refused).toBeGreaterThan(runs / 10);
  }, 120_000);

  it("every question has a rule that refuses line ends", () => {
    for (const question of templateQuestions) expect(question.test("a\nb"), question.flag).toBe(false);
  });
});
