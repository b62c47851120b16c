import { existsSync } from "node:fs";
import { cp, mkdir, readdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, extname, join, relative } from "node:path";
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
}

const sources = [".ts", ".mts"];
const tests = /\.(test|spec)\.m?ts$/;

/**
 * Compiles a job's TypeScript file by file, with source maps, into `.klio/build`, beside its effective configuration. The old
 * build stays until the new one is whole. `bundledRuntime` is the runtime to link where the job has none installed.
 * Throws a KlioError with the places of all syntax errors.
 */
export async function buildJob(job: LoadedJob, bundledRuntime: string): Promise<BuiltJob> {
  const { directory } = job;
  const target = join(directory, ".klio", "build");
  const staging = join(directory, ".klio", `build.${process.pid}`);
  const { code, assets } = await findSources(directory);
  if (!code.includes(join("src", "run.ts"))) {
    throw new KlioError("JOB_ENTRY", `${directory} has no src/run.ts`, {
      hint: "A job's entry is src/run.ts, which exports defineJob({ … }) by default. Start from: klio job create",
    });
  }
  await rm(staging, { recursive: true, force: true });
  try {
    await compile(directory, code, [...code, ...assets], staging);
    for (const file of assets) await cp(join(directory, file), join(staging, file));
    await writeFile(join(staging, effectiveFile), `${JSON.stringify(job.config, null, 2)}\n`);
    await writeFile(join(staging, "package.json"), '{ "type": "module" }\n');
    const old = `${staging}.old`;
    await rename(target, old).catch(() => undefined); // there may be none
    await rename(staging, target);
    await rm(old, { recursive: true, force: true });
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  const runtime = runtimeOf(directory, bundledRuntime);
  await linkRuntime(directory, runtime.installed ? undefined : bundledRuntime);
  const files = code.map((f) => f.replace(/\.(m?)ts$/, ".$1js"));
  return { directory: target, files: [...files, ...assets], runtime: runtime.bin, installed: runtime.installed };
}

async function findSources(directory: string): Promise<{ code: string[]; assets: string[] }> {
  const root = join(directory, "src");
  const entries = existsSync(root) ? await readdir(root, { recursive: true, withFileTypes: true }) : [];
  const files = entries
    .filter((e) => e.isFile())
    .map((e) => relative(directory, join(e.parentPath, e.name)))
    .filter((f) => !tests.test(f) && !f.endsWith(".d.ts") && !f.includes("node_modules"))
    .sort();
  const isCode = (f: string) => sources.includes(extname(f));
  return { code: files.filter(isCode), assets: files.filter((f) => !isCode(f)) };
}

async function compile(
  directory: string,
  code: readonly string[],
  emitted: readonly string[],
  outdir: string,
): Promise<void> {
  const { build } = await import("esbuild");
  try {
    await build({
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
  } catch (error) {
    const { errors } = error as Partial<BuildFailure>;
    if (errors === undefined) throw error;
    throw new KlioError("JOB_COMPILE", "the job does not compile", { details: errors.map(describe), cause: error });
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

function describe({ text, location }: Message): string {
  if (location === null) return text;
  const { file, line, column, lineText } = location;
  const gutter = `${line}`;
  return `${file}:${line}:${column + 1}: error: ${text}\n    ${gutter} | ${lineText}\n    ${" ".repeat(gutter.length)} | ${" ".repeat(column)}^`;
}

/** Lets a job that is not installed find the runtime: a link beside its build. An installed one wins. */
async function linkRuntime(directory: string, bundled: string | undefined): Promise<void> {
  const link = join(directory, ".klio", "node_modules", "@klio", "runtime");
  await rm(link, { recursive: true, force: true });
  if (bundled === undefined) return;
  await mkdir(dirname(link), { recursive: true });
  await symlink(bundled, link, "dir");
}
