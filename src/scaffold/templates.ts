import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { isAbsolute, join, normalize, relative, sep } from "node:path";
import { nearest } from "@klio/config";
import { KlioError } from "../errors.js";
import { jobNameQuestion, optionQuestions, projectQuestion, type Question, templateQuestions } from "./questions.js";

/** A file of a template: `name.hbs` is rendered to `name`, a part `_name` of its path becomes `.name`. */
export interface TemplateFile {
  /** Below the template's `files` folder. */
  readonly from: string;
  /** Where it goes, with answers in it; a file whose place would not lie in the job is left out. Default: `from`. */
  readonly to: string | undefined;
}

/** What `job create` renders: a folder with a manifest, `template.json`, and files. */
export interface Template {
  readonly name: string;
  readonly description: string;
  readonly jobType: "streaming" | "batch";
  readonly questions: readonly Question[];
  /** Values of its files besides the answers. */
  readonly values: Readonly<Record<string, string>>;
  /** Folder of the files. */
  readonly folder: string;
  readonly files: readonly TemplateFile[];
}

interface OwnQuestion {
  readonly key: string;
  readonly prompt: string;
  readonly default?: unknown;
  readonly pattern?: unknown;
  readonly rule?: string;
}

interface Manifest {
  readonly version: 1;
  readonly description: string;
  readonly jobType: "streaming" | "batch";
  readonly questions: readonly (string | OwnQuestion)[];
  readonly values?: Readonly<Record<string, string>>;
  readonly files: readonly (string | { readonly from: string; readonly to: string })[];
}

/** All templates below a folder, by name. */
export function listTemplates(folder: string): Template[] {
  return readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, "template.json")))
    .sort()
    .map((name) => readTemplate(join(folder, name), name));
}

/** Finds a template by its name, or reads the one in a directory. Throws a KlioError that lists those there are. */
export function findTemplate(folder: string, name: string, cwd: string): Template {
  const all = listTemplates(folder);
  const found = all.find((t) => t.name === name);
  if (found !== undefined) return found;
  const path = isAbsolute(name) ? name : join(cwd, name);
  if (existsSync(join(path, "template.json"))) return readTemplate(path, name);
  const names = all.map((t) => t.name);
  const meant = nearest(name, names);
  const isFolder = existsSync(path);
  throw new KlioError("TEMPLATE", isFolder ? `${path} has no template.json` : `there is no template "${name}"`, {
    hint:
      meant === undefined ? `There are: ${names.join(", ")}; or name a directory.` : `Did you mean --from ${meant}?`,
  });
}

function readTemplate(path: string, name: string): Template {
  const manifest = readManifest(path);
  const folder = join(path, "files");
  refuseLinks(folder, path);
  const files = manifest.files.flatMap((file): TemplateFile[] => {
    const { from, to } = typeof file === "string" ? { from: file, to: undefined } : file;
    refuseOutside(from, path, "files/");
    // With an answer in it, it is looked at when that is known.
    if (to !== undefined && !to.includes("{{")) refuseOutside(to, path, "the job");
    return expand(folder, from).map((f) => ({
      from: f,
      to: to === undefined || f === from ? to : to + f.slice(from.length),
    }));
  });
  const { description, jobType, values = {} } = manifest;
  return {
    name,
    description,
    jobType,
    values,
    folder,
    files,
    questions: manifest.questions.map((q) => question(q, path)),
  };
}

function readManifest(path: string): Manifest {
  const file = join(path, "template.json");
  let manifest: Partial<Record<keyof Manifest, unknown>>;
  try {
    manifest = JSON.parse(readFileSync(file, "utf8")) as typeof manifest;
  } catch (error) {
    throw broken(path, `template.json cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  const problems = [
    manifest.version === 1 ? "" : `"version" must be 1`,
    typeof manifest.description === "string" ? "" : `"description" must be text`,
    manifest.jobType === "streaming" || manifest.jobType === "batch" ? "" : `"jobType" must be streaming or batch`,
    isListOf(manifest.questions, ["key", "prompt"]) ? "" : `"questions" must be a list of flags or {key, prompt, …}`,
    isListOf(manifest.files, ["from", "to"]) ? "" : `"files" must be a list of paths or {from, to}`,
  ].filter((p) => p !== "");
  if (problems.length > 0) throw broken(path, `template.json: ${problems.join("; ")}`);
  return manifest as Manifest;
}

function isListOf(value: unknown, keys: readonly string[]): boolean {
  if (!Array.isArray(value)) return false;
  return value.every((entry: unknown) => {
    if (typeof entry === "string") return true;
    if (typeof entry !== "object" || entry === null) return false;
    return keys.every((key) => typeof (entry as Record<string, unknown>)[key] === "string");
  });
}

function question(asked: string | OwnQuestion, path: string): Question {
  if (typeof asked === "string") {
    const found = templateQuestions.find((q) => q.flag === asked);
    if (found !== undefined) return found;
    const known = templateQuestions.map((q) => q.flag).join(", ");
    throw broken(path, `there is no question "${asked}"; there are: ${known}`);
  }
  const { key, prompt, default: byDefault, pattern, rule } = asked;
  if (!/^[a-z][A-Za-z0-9]*$/.test(key)) throw broken(path, `"${key}" is no key of a question: letters and digits only`);
  if (pattern !== undefined && typeof pattern !== "string") throw broken(path, `the pattern of "${key}" must be text`);
  const taken = [jobNameQuestion, projectQuestion, ...templateQuestions, ...optionQuestions].some((q) => q.key === key);
  if (taken) throw broken(path, `"${key}" is asked already: a question of its own needs another key`);
  if (byDefault !== undefined && typeof byDefault !== "string")
    throw broken(path, `the default of "${key}" must be text`);
  const expression = expressionOf(pattern ?? ".*", path);
  return {
    key,
    flag: `answer ${key}`,
    prompt,
    byDefault: () => byDefault,
    rule: rule ?? (pattern === undefined ? "text without control characters" : `of the form ${pattern}`),
    // Control characters, line ends among them, have no place in any file of a job.
    test: (value) => /^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}]*$/u.test(value) && expression.test(value),
  };
}

function expressionOf(pattern: string, path: string): RegExp {
  try {
    return new RegExp(pattern, "u");
  } catch (error) {
    throw broken(path, error instanceof Error ? error.message : String(error));
  }
}

/** A link could lead to anything on this machine, which would then be in the job. */
function refuseLinks(folder: string, path: string): void {
  if (!existsSync(folder)) throw broken(path, "it has no folder files/");
  if (lstatSync(folder).isSymbolicLink()) throw broken(path, "files is a symbolic link");
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() || entry.isDirectory()) continue;
    const where = relative(path, join(entry.parentPath, entry.name));
    throw broken(path, `${where} is ${entry.isSymbolicLink() ? "a symbolic link" : "no file"}`);
  }
}

function refuseOutside(file: string, path: string, where: string): void {
  if (isInside(file)) return;
  throw broken(path, `template.json names ${JSON.stringify(file)}, which does not lie in ${where}`);
}

/** Whether a relative path stays below where it starts. */
export function isInside(path: string): boolean {
  const normal = normalize(path);
  const escapes = normal === ".." || normal.startsWith(`..${sep}`) || normal === "." || path.includes("\0");
  return (
    !isAbsolute(path) && !/^[A-Za-z]:/.test(path) && !path.includes("\\") && !path.split("/").includes("..") && !escapes
  );
}

function expand(folder: string, from: string): string[] {
  const path = join(folder, from);
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw broken(join(folder, ".."), `template.json names ${from}, which is not in files/`);
  if (!found.isDirectory()) return [from];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((e) => e.isFile())
    .map((e) => relative(folder, join(e.parentPath, e.name)))
    .sort();
}

function broken(path: string, why: string): KlioError {
  return new KlioError("TEMPLATE_BROKEN", `the template ${path} cannot be used: ${why}`);
}
