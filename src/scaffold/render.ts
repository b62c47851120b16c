import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { stringify } from "yaml";
import type { Collected } from "./answers.js";
import { isInside, type Template, type TemplateFile } from "./templates.js";

/** A file of a job that is to be written; its path is relative to the job, with slashes. */
export interface RenderedFile {
  readonly path: string;
  readonly data: Buffer;
}

/** Renders every file of a job, in memory. `tarball` is the runtime's, which the job vendors. */
export async function renderJob(template: Template, collected: Collected, tarball: string): Promise<RenderedFile[]> {
  const { default: handlebars } = await import("handlebars");
  const engine = handlebars.create();
  for (const [name, helper] of Object.entries(helpers)) engine.registerHelper(name, helper);
  const runtime = await readFile(tarball);
  const values = valuesOf(template, collected, basename(tarball), runtime);
  const render = (text: string) => engine.compile(text, { noEscape: true, strict: true })(values);
  const files: RenderedFile[] = [];
  for (const file of template.files) {
    const path = pathOf(file, render);
    if (path === undefined || (collected.answers["workerImage"] !== undefined && ofImage.includes(path))) continue;
    const data = await readFile(join(template.folder, file.from));
    files.push({ path, data: file.from.endsWith(".hbs") ? Buffer.from(render(data.toString())) : data });
  }
  files.push({ path: `vendor/${basename(tarball)}`, data: runtime });
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Somebody who brings an image needs nothing to build one with, as in Klio. */
const ofImage = ["Dockerfile", ".dockerignore"];

function pathOf(file: TemplateFile, render: (text: string) => string): string | undefined {
  const path =
    file.to === undefined
      ? file.from
          .split("/")
          .map((part) => part.replace(/^_/, "."))
          .join("/")
          .replace(/\.hbs$/, "")
      : render(file.to);
  // A sample whose place is the user's own (another folder, a bucket, a pattern) is not theirs to be given.
  return isInside(path) && !path.includes("://") && !/[*?[\]{}]/.test(path)
    ? path.replace(/^(?:\.\/)+/, "")
    : undefined;
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
    options,
    subscription: subscription(answers["inputTopic"]),
    secondSubscription: subscription(answers["secondInputTopic"]),
    inputFolder: local(answers["inputLocation"]),
    outputFolder: local(answers["outputLocation"]),
    picture: `${local(answers["outputLocation"])}/sense-and-sensibility-1.png`,
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
  // In klio-job.yaml a dollar begins a template value. A list's comma and bracket would end a plain value in it.
  const plain = stringify(value, { lineWidth: 0 }).trimEnd();
  const quoted = /[,[\]{}\n]/.test(plain) && plain.startsWith(value.slice(0, 1)) ? JSON.stringify(value) : plain;
  return quoted.replaceAll("$", "$$$$");
}

/** https://spec.commonmark.org/0.31.2/#code-spans: as many backticks around as are nowhere inside. */
function markdownCode(value: string): string {
  const longest = Math.max(0, ...(value.match(/`+/g) ?? []).map((run) => run.length));
  const fence = "`".repeat(longest + 1);
  const space = longest > 0 ? " " : "";
  return `${fence}${space}${value}${space}${fence}`;
}
