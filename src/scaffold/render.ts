import { createHash } from "node:crypto";
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { KlioError } from "../errors.js";
import type { Answers } from "./answers.js";
import type { Template } from "./templates.js";

export interface RenderOptions {
  readonly template: Template;
  readonly answers: Answers;
  /** The job's directory; made with its parents when absent. Absolute. */
  readonly target: string;
  /** The runtime's tarball, which the job vendors. */
  readonly tarball: string;
}

/**
 * Writes a job. All or nothing: it is put together beside its place and moved there at the end.
 * Returns the files, relative to the job. Throws a KlioError when there is something in its place.
 */
export async function renderJob(options: RenderOptions): Promise<string[]> {
  await refuseFilled(options.target);
  const made = await mkdir(options.target, { recursive: true });
  // Inside its place: the same disk and the same rights, and a directory somebody stands in is not replaced.
  const staging = join(options.target, `.klio-create-${process.pid}`);
  try {
    await mkdir(staging);
    await fill(staging, options);
    for (const name of await readdir(staging)) await rename(join(staging, name), join(options.target, name));
  } catch (error) {
    if (made !== undefined) await rm(made, { recursive: true, force: true });
    throw error;
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  return (await filesBelow(options.target)).filter((f) => !f.startsWith(".git/"));
}

/** A fresh repository (`git init`) counts as empty. */
async function refuseFilled(target: string): Promise<void> {
  const entries = await readdir(target).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new KlioError("CREATE_TARGET", `${target} cannot be used: ${String(error)}`, { cause: error });
  });
  const found = entries.filter((name) => name !== ".git");
  if (found.length === 0) return;
  const some = found.slice(0, 3).join(", ") + (found.length > 3 ? ", …" : "");
  throw new KlioError("CREATE_NOT_EMPTY", `${target} is not empty (${some})`, {
    hint: "Name an empty or new directory with --output.",
  });
}

async function fill(staging: string, { template, answers, tarball }: RenderOptions): Promise<void> {
  const { default: handlebars } = await import("handlebars");
  const engine = handlebars.create();
  // Both quote: whatever an answer holds, it stays a value.
  engine.registerHelper("yaml", (value: string) => yamlScalar(value));
  engine.registerHelper("json", (value: string) => JSON.stringify(value));
  const values = await templateValues(template, answers, tarball);
  for (const file of await filesBelow(template.files)) {
    const source = join(template.files, file);
    const target = join(
      staging,
      dirname(file),
      basename(file)
        .replace(/^_/, ".")
        .replace(/\.hbs$/, ""),
    );
    await mkdir(dirname(target), { recursive: true });
    if (!file.endsWith(".hbs")) await cp(source, target);
    else {
      const render = engine.compile(await readFile(source, "utf8"), { noEscape: true, strict: true });
      await writeFile(target, render(values));
    }
  }
  await mkdir(join(staging, "vendor"));
  await cp(tarball, join(staging, "vendor", basename(tarball)));
}

async function templateValues(template: Template, answers: Answers, tarball: string) {
  const digest = createHash("sha512")
    .update(await readFile(tarball))
    .digest("base64");
  const local = (location: string) => location.replace(/^gs:\/\//, ".klio/storage/");
  return {
    ...template.defaults,
    ...answers,
    subscription: `projects/${answers.project}/subscriptions/${answers.inputTopic.split("/").at(-1) ?? ""}-${answers.jobName}`,
    inputFolder: local(answers.inputLocation),
    outputFolder: local(answers.outputLocation),
    runtimeTarball: basename(tarball),
    runtimeIntegrity: `sha512-${digest}`,
    runtimeVersion: /-(\d+\.\d+\.\d+.*)\.tgz$/.exec(basename(tarball))?.[1] ?? "",
  };
}

/** A YAML scalar of a text: plain where that reads back as the same text, else quoted. */
function yamlScalar(value: string): string {
  const plain = /^[A-Za-z][A-Za-z0-9_./:-]*$/.test(value) && !/:$|: |^(?:true|false|null|yes|no|on|off)$/i.test(value);
  // In klio-job.yaml a dollar begins a template value.
  return plain || /^\.[a-z]+$/.test(value) ? value : JSON.stringify(value).replaceAll("$", "$$$$");
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((e) => e.isFile())
    .map((e) => relative(folder, join(e.parentPath, e.name)))
    .sort();
}
