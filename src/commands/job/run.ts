import { tmpdir } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Args, Flags } from "@oclif/core";
import { KlioError } from "../../errors.js";
import { loadJob, typeErrors } from "../../jobs/index.js";
import { chooseRunner, LocalJob, type RunEvent } from "../../runners/index.js";
import { type Hotkey, hotkeyLine, listenToKeys } from "../../ui/hotkeys.js";
import { JobsView, type LogLevel, logLevels } from "../../ui/jobs-view.js";
import { jobFlags, KlioCommand, paragraphs } from "../../ui/klio-command.js";

const typeCheckDelayMs = 300;
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export default class JobRun extends KlioCommand {
  static override summary = "Run a job, or several.";
  static override description =
    paragraphs(`With --direct-runner it runs on this machine: no account, no Docker, no network. The job's topics, subscriptions and
buckets are created in a local session, which all jobs of a project share and which ends with the last of them.
Ctrl-C finishes the messages in hand and stops; a second one gives them back at once.
Topics, subscriptions, messages and objects stay, and are there again at the next start.

A batch job ends by itself. Exit codes: 0 done; 1 it cannot run; 3 done, and some elements are dead letters; 4 stopped before its
end. Run it again and it goes on with the elements that are left.`);
  static override examples = [
    "<%= config.bin %> job run --direct-runner",
    "<%= config.bin %> job run --direct-runner --watch",
    "<%= config.bin %> job run --direct-runner download/ transcode/ index/",
    "<%= config.bin %> job run --direct-runner --job-dir my-job --override job_config.workers.count=1",
    "<%= config.bin %> job run --direct-runner --json | jq 'select(.event == \"outcome\")'",
  ];
  static override enableJsonFlag = false;
  static override strict = false;
  static override args = {
    directory: Args.string({
      name: "DIRECTORY",
      description: "directories of the jobs to run together (default: --job-dir)",
    }),
  };
  static override flags = {
    ...jobFlags,
    "direct-runner": Flags.boolean({ description: "run on this machine, against local emulators" }),
    watch: Flags.boolean({
      char: "w",
      description:
        "load code and configuration again when they are saved; messages in hand are finished by the old code",
    }),
    "log-level": Flags.option({
      options: logLevels,
      default: "info" as const,
      description: "what to show: debug, info, warning or error",
      helpValue: "LEVEL",
    })(),
    fresh: Flags.boolean({
      description: "batch: begin with the first element, although an interrupted run could go on",
    }),
    "allow-dead-letters": Flags.boolean({ description: "batch: exit 0 although elements became dead letters" }),
    json: Flags.boolean({ description: "print every event as a line of JSON on stdout" }),
  };

  #json = false;
  /** The check of types that goes on for a job. */
  readonly #typeChecks = new Map<LocalJob, AbortController>();
  #jobs: readonly LocalJob[] = [];
  #stopped = false;
  readonly #stop = () => {
    this.#stopped = true;
    for (const check of this.#typeChecks.values()) check.abort();
    for (const job of this.#jobs) job.stop();
  };

  override jsonEnabled(): boolean {
    return this.#json;
  }

  async run(): Promise<void> {
    const { flags, argv } = await this.parse(JobRun);
    this.#json = flags.json;
    const directories = argv.map(String);
    if (directories.length > 0 && flags["job-dir"] !== undefined) {
      throw new KlioError("JOB_DIRS", "--job-dir and directories exclude each other", {
        hint: "Name all jobs as arguments: klio job run --direct-runner a/ b/",
      });
    }
    const loads = (directories.length === 0 ? [flags["job-dir"]] : directories).map((jobDir) => () => {
      const job = loadJob(this.jobOptions({ ...flags, "job-dir": jobDir }));
      this.tellWarnings(job);
      return job;
    });
    if (!flags["direct-runner"]) throw chooseRunner(loads[0]?.().config.pipeline_options.runner ?? "");
    const terminal = process.stderr.isTTY && !flags.json;
    const level: LogLevel = flags["log-level"];
    const view = new JobsView({ json: flags.json, level, terminal, cwd: process.cwd() });
    const batch = ["fresh", "allow-dead-letters"].filter((f) => flags[f as "fresh"]).map((f) => `--${f}`);
    // From the first moment on: a session that was started and never joined would stay a while.
    for (const signal of signals) process.on(signal, this.#stop);
    const jobs = await this.#prepare(loads, view, flags.watch, batch);
    if (this.#stopped) {
      for (const job of jobs) job.abandon();
      view.close();
      process.exitCode = Math.max(...jobs.map((job) => job.stoppedCode));
      return;
    }
    for (const { name, job } of jobs) {
      const reads = job.config.job_config.events.inputs.some((i) => i.type === "file");
      if (batch.length > 0 && !reads)
        this.tell(`! ${name} reads no event files: ${batch.join(" and ")} has no effect on it`);
    }
    process.exitCode = await this.#runAll(jobs, view, flags.watch);
  }

  /** All or none: what is wrong with one keeps every job from starting. */
  async #prepare(
    loads: readonly (() => ReturnType<typeof loadJob>)[],
    view: JobsView,
    watch: boolean,
    flags: string[],
  ) {
    const prepared = await Promise.allSettled(
      loads.map(async (load) => {
        const job: LocalJob = await LocalJob.prepare({
          load,
          watch,
          flags,
          sessionOf: (project) => this.sessionKey(project),
          sessionEntry: this.assets.sessionEntry,
          bundledRuntime: this.assets.runtime,
          temporary: tmpdir(),
          onEvent: (event: RunEvent) => {
            view.show(event, job);
            if (event.event === "reloaded") this.#checkTypesSoon(job, view);
          },
          onNoise: (line) => {
            view.tell(line, job.name);
          },
        });
        return job;
      }),
    );
    const jobs = prepared.flatMap((p) => (p.status === "fulfilled" ? [p.value] : []));
    const failures = prepared.flatMap((p) => (p.status === "rejected" ? [p.reason as unknown] : []));
    const twice = jobs.map((j) => j.name).find((name, i, all) => all.indexOf(name) !== i);
    if (failures.length === 0 && twice === undefined) return jobs;
    for (const job of jobs) job.abandon();
    view.close();
    if (failures.length > 0) throw together(failures);
    throw new KlioError("JOB_TWICE", `two of the jobs are called ${twice ?? ""}`, { hint: "Run them one by one." });
  }

  /** Resolves to the exit code: that of the first job that did not end well. */
  async #runAll(jobs: readonly LocalJob[], view: JobsView, watch: boolean): Promise<number> {
    view.prefix(jobs.map((j) => j.name));
    const stop = this.#stop;
    this.#jobs = jobs;
    // The terminal may go before the job does.
    for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
    const release = this.#hotkeys(jobs, view, stop);
    await Promise.all(jobs.map((job) => job.start()));
    for (const job of jobs) this.#checkTypesSoon(job, view);
    if (watch && release !== undefined) view.tell(`watching; ${hotkeyLine(this.#keys(jobs, view, stop))}`);
    const codes = await Promise.all(jobs.map((job) => job.finished));
    for (const check of this.#typeChecks.values()) check.abort();
    release?.();
    view.close();
    return codes.find((code) => code !== 0) ?? 0;
  }

  #hotkeys(jobs: readonly LocalJob[], view: JobsView, stop: () => void): (() => void) | undefined {
    if (!jobs.some((j) => j.options.watch) || !process.stdin.isTTY || !process.stderr.isTTY || this.#json)
      return undefined;
    return listenToKeys(this.#keys(jobs, view, stop), stop);
  }

  #keys(jobs: readonly LocalJob[], view: JobsView, stop: () => void): Hotkey[] {
    const streaming = jobs.filter((j) => j.job.config.pipeline_options.streaming);
    const level = () => {
      view.level = logLevels[(logLevels.indexOf(view.level) + 1) % logLevels.length] ?? "info";
      view.tell(`showing: ${view.level}`);
    };
    const ofStreaming = [
      { key: "r", what: "restart", press: () => void Promise.all(streaming.map((j) => j.restart())) },
      {
        key: "p",
        what: "publish the last message again",
        press: () => {
          for (const job of streaming) {
            job.publishAgain().catch((error: unknown) => {
              view.tell(error instanceof Error ? error.message : String(error), job.name);
            });
          }
        },
      },
    ];
    return [
      ...(streaming.length > 0 ? ofStreaming : []),
      { key: "l", what: "level of what is shown", press: level },
      { key: "q", what: "quit", press: stop },
    ];
  }

  /** A check of types is slow: it waits until nobody saves any more, and one that has become pointless is given up. */
  #checkTypesSoon(job: LocalJob, view: JobsView): void {
    this.#typeChecks.get(job)?.abort();
    const check = new AbortController();
    this.#typeChecks.set(job, check);
    const begin = async () => {
      await sleep(typeCheckDelayMs, undefined, { signal: check.signal });
      for (const message of await typeErrors(job.job.directory, check.signal)) {
        if (!check.signal.aborted) view.show({ event: "type-error", job: job.name, message }, job);
      }
    };
    begin().catch(() => undefined); // given up
  }
}

/** What is wrong with one job as it is; with several, all of it in one error. */
function together(failures: readonly unknown[]): unknown {
  const known = failures.filter((f): f is KlioError => f instanceof KlioError);
  if (failures.length === 1 || known.length < failures.length)
    return failures.find((f) => !known.includes(f as KlioError)) ?? failures[0];
  return new KlioError(known[0]?.code ?? "", `${known.length} of the jobs cannot run`, {
    details: known.map((k) =>
      [
        k.message,
        ...k.details.map((d) => `  ${d.replaceAll("\n", "\n  ")}`),
        ...(k.hint === undefined ? [] : [`  → ${k.hint}`]),
      ].join("\n"),
    ),
    data: { errors: known.map(({ code, message, details, data }) => ({ code, message, details, ...data })) },
  });
}
