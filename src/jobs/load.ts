import { existsSync, readFileSync, statSync } from "node:fs";
import { isAbsolute, join, relative, resolve } from "node:path";
import { type Diagnostic, type EffectiveConfig, formatDiagnostic, loadConfig } from "@klio/config";
import { KlioError } from "../errors.js";

/** Where a job is and how its configuration is to be read; the shared flags of all commands that take a job. */
export interface JobOptions {
  /** The directory of commands; paths of the other options are relative to it. */
  readonly cwd: string;
  /** `--job-dir`. */
  readonly jobDir: string | undefined;
  /** `--config-file`; relative to the job directory if one is given. */
  readonly configFile: string | undefined;
  /** `--override path=value`, in order. */
  readonly overrides: readonly string[];
  /** `--template name=value`. */
  readonly templates: readonly string[];
}

export interface LoadedJob {
  /** Absolute. */
  readonly directory: string;
  readonly configFile: string;
  readonly config: EffectiveConfig;
  readonly warnings: readonly Diagnostic[];
}

/** Reads a job's configuration. Throws a KlioError with every problem and its place. */
export function loadJob(options: JobOptions): LoadedJob {
  const directory = resolve(options.cwd, options.jobDir ?? ".");
  if (!existsSync(directory) || !statSync(directory).isDirectory()) {
    throw new KlioError("JOB_DIR", `there is no directory ${directory}`, { hint: "Name the directory of a job." });
  }
  const path = resolve(options.jobDir === undefined ? options.cwd : directory, options.configFile ?? "klio-job.yaml");
  const shown = display(options.cwd, path);
  const { config, diagnostics } = loadConfig({
    file: shown,
    text: readConfig(path, shown),
    overrides: options.overrides.map((o) => split(o, "--override", "job_config.delivery.attempts=3")),
    templates: new Map(options.templates.map((t) => split(t, "--template", "bucket=my-bucket"))),
  });
  if (config === undefined) {
    const errors = diagnostics.filter((d) => d.severity === "error");
    const count = errors.length === 1 ? "a mistake" : `${errors.length} mistakes`;
    throw new KlioError("CONFIG_INVALID", `${shown} has ${count}`, {
      details: diagnostics.map(formatDiagnostic),
      data: { diagnostics },
    });
  }
  return { directory, configFile: path, config, warnings: diagnostics };
}

function readConfig(path: string, shown: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    throw new KlioError(
      "CONFIG_MISSING",
      missing ? `there is no ${shown}` : `${shown} cannot be read: ${String(error)}`,
      {
        hint: "Go to a job's directory or name it with --job-dir; make a job with: klio job create",
        cause: error,
      },
    );
  }
}

function split(text: string, flag: string, example: string): readonly [string, string] {
  const at = text.indexOf("=");
  if (at > 0) return [text.slice(0, at).trim(), text.slice(at + 1)];
  throw new KlioError("FLAG_VALUE", `${flag} takes KEY=VALUE, not "${text}"`, {
    hint: `For example: ${flag} ${example}`,
  });
}

function display(cwd: string, path: string): string {
  const short = relative(cwd, path);
  return short.startsWith("..") || isAbsolute(short) ? path : short;
}

/** The module a job's processes run: the runtime the job has installed, else the one that came with klio. */
export function runtimeOf(directory: string, bundled: string): { readonly bin: string; readonly installed: boolean } {
  const own = join(directory, "node_modules", "@klio", "runtime", "bin.js");
  return existsSync(own) ? { bin: own, installed: true } : { bin: join(bundled, "bin.js"), installed: false };
}
