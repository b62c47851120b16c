import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { Command, Flags } from "@oclif/core";
import { chalkStderr } from "chalk";
import { formatDiagnostic, nearest } from "@klio/config";
import { KlioError } from "../errors.js";
import type { JobOptions, LoadedJob } from "../jobs/index.js";
import { type SessionKey, stateHomeOf } from "../session/index.js";

/** Flags of every command that takes a job; the names are Klio's. */
export const jobFlags = {
  "job-dir": Flags.string({
    char: "j",
    description: "the job's directory (default: the current one)",
    helpValue: "DIR",
  }),
  "config-file": Flags.string({
    char: "c",
    description: "the job's configuration (default: klio-job.yaml); relative to --job-dir if that is given",
    helpValue: "FILE",
  }),
  override: Flags.string({
    char: "O",
    multiple: true,
    multipleNonGreedy: true,
    description: "set a value of the configuration, e.g. job_config.delivery.attempts=3",
    helpValue: "KEY=VALUE",
  }),
  template: Flags.string({
    char: "T",
    multiple: true,
    multipleNonGreedy: true,
    description: "the value of a $NAME in the configuration",
    helpValue: "NAME=VALUE",
  }),
} as const;

/** Text of a help page, as it is broken into lines here: the terminal's width breaks its paragraphs anew. */
export function paragraphs(text: string): string {
  return text
    .split(/\n{2,}/)
    .map((paragraph) => paragraph.replaceAll("\n", " "))
    .join("\n\n");
}

interface JobFlags {
  readonly "job-dir"?: string | undefined;
  readonly "config-file"?: string | undefined;
  readonly override?: readonly string[] | undefined;
  readonly template?: readonly string[] | undefined;
}

/** What all commands share: where things are, and how a user's mistake is shown. */
export abstract class KlioCommand extends Command {
  static override enableJsonFlag = true;

  /** The runtime, session process, templates and tarball that came with klio. */
  protected get assets() {
    const dist = join(this.config.root, "dist");
    return {
      runtime: join(dist, "runtime"),
      sessionEntry: join(dist, "session.cjs"),
      templates: join(dist, "templates"),
      tarball: join(dist, "vendor", `klio-runtime-${this.config.version}.tgz`),
    };
  }

  protected jobOptions(flags: JobFlags): JobOptions {
    return {
      cwd: process.cwd(),
      jobDir: flags["job-dir"],
      configFile: flags["config-file"],
      overrides: flags.override ?? [],
      templates: flags.template ?? [],
    };
  }

  protected sessionKey(project: string): SessionKey {
    const name = process.env["KLIO_SESSION"];
    return {
      project,
      name: name === "" ? undefined : name,
      stateHome: stateHomeOf(process.env, homedir()),
      temporary: tmpdir(),
    };
  }

  /** A line for people, on stderr. */
  protected tell(line: string): void {
    if (!this.jsonEnabled()) process.stderr.write(`${line}\n`);
  }

  protected tellWarnings(job: LoadedJob): void {
    for (const warning of job.warnings) this.tell(chalkStderr.yellow(formatDiagnostic(warning)));
  }

  protected override async catch(error: Error & { exitCode?: number }): Promise<unknown> {
    if (error instanceof KlioError) {
      process.exitCode = error.exitCode;
      if (this.jsonEnabled()) this.logJson(this.toErrorJson(error));
      else process.stderr.write(`${renderError(error)}\n`);
      return undefined;
    }
    if (error.name === "ExitPromptError") {
      // inquirer: Ctrl-C at a prompt
      process.stderr.write("\n");
      process.exitCode = 130;
      return undefined;
    }
    return super.catch(withNearestFlag(error, Object.keys(this.ctor.flags)));
  }

  protected override toErrorJson(error: unknown): unknown {
    if (error instanceof KlioError) {
      const { code, message, hint, details, data } = error;
      return { error: { code, message, ...(hint === undefined ? {} : { hint }), details, ...data } };
    }
    // oclif marks what it throws itself.
    const isUsage = error instanceof Error && "oclif" in error;
    const message = error instanceof Error ? error.message : String(error);
    return { error: { code: isUsage ? "USAGE" : "UNEXPECTED", message } };
  }
}

/** Adds to oclif's error about an unknown flag which one was probably meant. */
function withNearestFlag<E extends Error>(error: E, known: readonly string[]): E {
  const { flags } = error as { flags?: unknown };
  if (!error.message.startsWith("Nonexistent flag") || !Array.isArray(flags)) return error;
  for (const flag of flags.map(String)) {
    const meant = nearest(flag.replace(/^-+/, "").split("=")[0] ?? "", known);
    if (meant !== undefined) error.message += `\nDid you mean --${meant}?`;
  }
  return error;
}

/** What failed, the places, what to do. */
export function renderError(error: KlioError): string {
  const { red, dim, cyan } = chalkStderr;
  const details = error.details.map((d) => `  ${d.replaceAll("\n", "\n  ")}`);
  const hint = error.hint === undefined ? [] : [cyan(`→ ${error.hint}`)];
  return [`${red("✘")} ${error.message} ${dim(`[${error.code}]`)}`, ...details, ...hint].join("\n");
}
