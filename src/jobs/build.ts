import { existsSync, readFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { cp, mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, extname, join, relative, sep } from "node:path";
import type { BuildFailure, Message, Plugin } from "esbuild";
import { effectiveFile } from "@klio/config/effective";
import { KlioError } from "../errors.js";
import { type LoadedJob, runtimeOf } from "./load.js";

export interface BuiltJob {
  /** What `klio-runtime run` takes: the compiled code and the effective configuration. Absolute. */
  readonly directory: string;
  /** Compiled files, relative to `directory`. */
  readonly files: readonly string[];
  /** The klio-runtime to run it with. */
  readonly runtime: string;
  /** Whether that is the job's own, installed one. */
  readonly installed: boolean;
  /** SHA-256 of what was built: equal when a save changed nothing. */
  readonly digest: string;
}

/** Where `klio job build` leaves what it builds; relative to the job. */
export const buildFolder = join(".klio", "build");

const sources = [".ts", ".mts"];
const tests = /\.(test|spec)\.m?ts$/;

/** Whether a file of a job is built: code and what lies beside it, but not its tests. The path is relative to the job. */
export function isBuilt(file: string): boolean {
  return file.startsWith(`src${sep}`) && !tests.test(file) && !file.endsWith(".d.ts") && !file.includes("node_modules");
}

/**
 * Compiles a job's TypeScript file by file, with source maps, into a folder of the job (`folder`, relative to it), beside its
 * effective configuration. What is there stays until the new build is whole. `bundledRuntime` is the runtime to link where the
 * job has none installed. Throws a KlioError with the places of all syntax errors.
 */
export async function buildJob(job: LoadedJob, bundledRuntime: string, folder = buildFolder): Promise<BuiltJob> {
  const { directory } = job;
  const target = join(directory, folder);
  const staging = `${target}.${process.pid}.new`;
  const { code, assets } = await findSources(directory);
  if (!code.includes(join("src", "run.ts"))) {
    throw new KlioError("JOB_ENTRY", `${directory} has no src/run.ts`, {
      hint: "A job's entry is src/run.ts, which exports defineJob({ … }) by default. Start from: klio job create",
    });
  }
  await rm(staging, { recursive: true, force: true });
  try {
    const compiled = await compile(directory, code, [...code, ...assets], staging);
    for (const file of assets) await copyIfThere(join(directory, file), join(staging, file));
    await writeFile(join(staging, effectiveFile), `${JSON.stringify(job.config, null, 2)}\n`);
    await writeFile(join(staging, "package.json"), '{ "type": "module" }\n');
    const old = `${staging}.old`;
    await rename(target, old).catch(() => undefined); // there may be none
    await rename(staging, target);
    await rm(old, { recursive: true, force: true });
    const digest = createHash("sha256").update(compiled).update(JSON.stringify(job.config));
    for (const file of assets) digest.update(file).update(await readFile(join(target, file)).catch(() => ""));
    const runtime = runtimeOf(directory, bundledRuntime);
    await linkRuntime(directory, runtime.installed ? undefined : bundledRuntime);
    const files = [...code.map((f) => f.replace(/\.(m?)ts$/, ".$1js")), ...assets];
    return {
      directory: target,
      files,
      runtime: runtime.bin,
      installed: runtime.installed,
      digest: digest.digest("hex"),
    };
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** Editors make files that are gone a moment later. */
async function copyIfThere(from: string, to: string): Promise<void> {
  try {
    await cp(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

async function findSources(directory: string): Promise<{ code: string[]; assets: string[] }> {
  const root = join(directory, "src");
  const entries = existsSync(root) ? await readdir(root, { recursive: true, withFileTypes: true }) : [];
  const files = entries
    .filter((e) => e.isFile())
    .map((e) => relative(directory, join(e.parentPath, e.name)))
    .filter(isBuilt)
    .sort();
  const isCode = (f: string) => sources.includes(extname(f));
  return { code: files.filter(isCode), assets: files.filter((f) => !isCode(f)) };
}

async function compile(
  directory: string,
  code: readonly string[],
  emitted: readonly string[],
  outdir: string,
): Promise<string> {
  const { build } = await import("esbuild");
  try {
    const { metafile } = await build({
      metafile: true,
      absWorkingDir: directory,
      entryPoints: [...code],
      outdir,
      outbase: directory,
      bundle: true,
      packages: "external",
      format: "esm",
      platform: "node",
      target: "node20.19",
      sourcemap: "linked",
      logLevel: "silent",
      plugins: [fileByFile(directory, new Set(emitted))],
    });
    const texts = await Promise.all(Object.keys(metafile.outputs).map((f) => readFile(join(directory, f), "utf8")));
    return texts.join("\0");
  } catch (error) {
    const { errors } = error as Partial<BuildFailure>;
    if (errors === undefined) throw error;
    throw new KlioError("JOB_COMPILE", "the job does not compile", {
      details: errors.map((e) => describe(e, directory)),
      cause: error,
    });
  }
}

/** Keeps every file a module of its own: imports of others stay imports, of their compiled names, and must lead somewhere. */
function fileByFile(directory: string, emitted: ReadonlySet<string>): Plugin {
  return {
    name: "file-by-file",
    setup(setup) {
      setup.onResolve({ filter: /^\.{1,2}\// }, ({ path, importer, kind }) => {
        if (kind === "entry-point") return undefined;
        const base = join(dirname(importer), path);
        const source = [base, base.replace(/\.(m?)js$/, ".$1ts")].find((p) => existsSync(p) && extname(p) !== "");
        const from = relative(directory, importer);
        if (source !== undefined && emitted.has(relative(directory, source))) {
          return { path: path.replace(/\.(m?)ts$/, ".$1js"), external: true };
        }
        if (source !== undefined) {
          const why = "which is not built: it lies outside src/, behind a link, or is a test";
          return { errors: [{ text: `${from} imports "${path}", ${why}` }] };
        }
        const candidate = [".ts", "/index.ts"].find((end) => existsSync(base + end));
        const hint = candidate === undefined ? "" : `; write "${path}${candidate.replace(/ts$/, "js")}"`;
        return { errors: [{ text: `${from} imports "${path}", which does not exist${hint}` }] };
      });
    },
  };
}

/** The place, the reason, and the code around it. */
function describe({ text, location }: Message, directory: string): string {
  if (location === null) return text;
  const { file, line, column } = location;
  const lines = readLines(join(directory, file));
  const first = Math.max(0, line - 1 - around);
  const width = String(line + around).length;
  const frame = lines.slice(first, line + around).flatMap((source, i) => {
    const at = first + i + 1;
    const shown = `${at === line ? ">" : " "} ${String(at).padStart(width)} | ${source}`;
    return at === line ? [shown, `  ${" ".repeat(width)} | ${" ".repeat(column)}^`] : [shown];
  });
  return [`${file}:${line}:${column + 1}: error: ${text}`, ...frame.map((l) => `  ${l}`)].join("\n");
}

/** Lines of code shown before and after the one with the mistake. */
const around = 2;

function readLines(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\n");
  } catch {
    return []; // removed meanwhile
  }
}

/** Lets a job that is not installed find the runtime: a link beside its build. An installed one wins. */
async function linkRuntime(directory: string, bundled: string | undefined): Promise<void> {
  const link = join(directory, ".klio", "node_modules", "@klio", "runtime");
  // Left alone when it is right: a job that runs may be reading through it.
  if ((await readlink(link).catch(() => undefined)) === bundled && bundled !== undefined) return;
  await rm(link, { recursive: true, force: true });
  if (bundled === undefined) return;
  await mkdir(dirname(link), { recursive: true });
  await symlink(bundled, link, "dir");
}
