import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, join, posix } from "node:path";
import { stringify } from "yaml";
import { KlioError } from "../errors.js";
import type { Collected } from "./answers.js";
import { isInside, type Template, type TemplateFile } from "./templates.js";

/** A file of a job that is to be written; its path is relative to the job, with slashes. */
export interface RenderedFile {
  readonly path: string;
  readonly data: Buffer;
}

/**
 * Renders every file of a job, in memory. `tarball` is the runtime's, which the job vendors.
 * Throws a KlioError when the template is wrong, or when answers make two files one.
 */
export async function renderJob(template: Template, collected: Collected, tarball: string): Promise<RenderedFile[]> {
  const { default: handlebars } = await import("handlebars");
  const engine = handlebars.create();
  for (const [name, helper] of Object.entries(helpers)) {
    engine.registerHelper(name, (...parts: unknown[]) => {
      // Handlebars is strict about what is printed by itself, and passes helpers what does not exist.
      if (parts.slice(0, -1).includes(undefined))
        throw new Error(`{{${name} …}} is given a value that nobody was asked for`);
      return (helper as (...parts: unknown[]) => string)(...parts);
    });
  }
  const runtime = await readFile(tarball);
  const values = valuesOf(template, collected, basename(tarball), runtime);
  const render = (text: string, where: string) => {
    try {
      return engine.compile(text, { noEscape: true, strict: true })(values);
    } catch (error) {
      const why = (error instanceof Error ? error.message : String(error)).split("\n").slice(0, 4).join("\n  ");
      throw new KlioError("TEMPLATE_BROKEN", `the template ${template.name} cannot be used: ${where}: ${why}`, {
        hint: `Values there are: ${Object.keys(values).sort().join(", ")}.`,
      });
    }
  };
  const files: RenderedFile[] = [];
  for (const file of template.files) {
    const path = pathOf(file, render);
    if (path === undefined || (!values.ownImage && ofImage.includes(path))) continue;
    const data = await readFile(join(template.folder, file.from));
    files.push({ path, data: file.from.endsWith(".hbs") ? Buffer.from(render(data.toString(), file.from)) : data });
  }
  files.push({ path: `vendor/${basename(tarball)}`, data: runtime });
  refuseCollisions(files.map((f) => f.path));
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Somebody who brings an image needs nothing to build one with, as in Klio. */
const ofImage = ["Dockerfile", ".dockerignore"];

function pathOf(file: TemplateFile, render: (text: string, where: string) => string): string | undefined {
  if (file.to === undefined) {
    const parts = file.from.split("/").map((part) => part.replace(/^_(?!_)/, "."));
    return parts.join("/").replace(/\.hbs$/, "");
  }
  const path = posix.normalize(render(file.to, `template.json: ${file.to}`));
  // A sample whose place is the user's own (another folder, a bucket, a pattern) is not theirs to be given.
  return isInside(path) && !path.includes(":/") && !/[*?[\]{}]/.test(path) ? path : undefined;
}

function refuseCollisions(paths: readonly string[]): void {
  const sorted = [...paths].sort();
  sorted.forEach((path, i) => {
    const next = sorted[i + 1];
    const folder = sorted.find((other) => other.startsWith(`${path}/`));
    if (next !== path && folder === undefined) return;
    const what = next === path ? "two files of the job" : `a file of the job and the folder of ${folder ?? ""}`;
    throw new KlioError("CREATE_PATHS", `${path} would be ${what}`, { hint: "Give one of them another name." });
  });
}

function valuesOf(template: Template, { answers, parents, options }: Collected, tarball: string, runtime: Buffer) {
  const digest = createHash("sha512").update(runtime).digest("base64");
  const local = (location: string | undefined) => (location ?? "").replace(/^gs:\/\//, ".klio/storage/");
  const subscription = (topic: string | undefined) =>
    `projects/${answers["project"] ?? ""}/subscriptions/${topic?.split("/").at(-1) ?? ""}-${answers["jobName"] ?? ""}`;
  return {
    ...template.values,
    ...answers,
    dependencies: parents,
    ownImage: (answers["workerImage"] ?? "") === "",
    options,
    subscription: subscription(answers["inputTopic"]),
    secondSubscription: subscription(answers["secondInputTopic"]),
    inputFolder: local(answers["inputLocation"]),
    outputFolder: local(answers["outputLocation"]),
    deadLetterFile: `${answers["jobName"] ?? ""}-dead-letter.jsonl`,
    runtimeTarball: tarball,
    runtimeIntegrity: `sha512-${digest}`,
    runtimeVersion: /-(\d+\.\d+\.\d+.*)\.tgz$/.exec(tarball)?.[1] ?? "",
  };
}

/** Each quotes for its language: whatever an answer holds, it stays a value. */
const helpers = {
  yaml: (value: unknown) => yamlValue(value),
  json: (value: unknown) => JSON.stringify(value),
  docker: (value: string) => JSON.stringify(value).replaceAll("$", "\\$"),
  shell: (value: string) => (/^[\w./-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`),
  code: (value: string) => markdownCode(value),
  concat: (...parts: unknown[]) => parts.slice(0, -1).join(""),
  dataType: (location: string) => (location.startsWith("gs://") ? "gcs" : "file"),
};

function yamlValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(yamlValue).join(", ")}]`;
  if (typeof value !== "string") return JSON.stringify(value);
  const plain = stringify(value, { lineWidth: 0 }).trimEnd();
  // What spans lines would need an indentation, and a list's comma or bracket would end a plain value in it.
  const scalar = plain.includes("\n") || (plain === value && /[,[\]{}]/.test(plain)) ? JSON.stringify(value) : plain;
  // In klio-job.yaml a dollar begins a template value.
  return scalar.replaceAll("$", "$$$$");
}

/** https://spec.commonmark.org/0.31.2/#code-spans: as many backticks around as are nowhere inside. */
function markdownCode(value: string): string {
  const longest = Math.max(0, ...(value.match(/`+/g) ?? []).map((run) => run.length));
  const fence = "`".repeat(longest + 1);
  const space = longest > 0 ? " " : "";
  return `${fence}${space}${value}${space}${fence}`;
}
