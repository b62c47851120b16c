import { KlioError } from "../../errors.js";
import {
  type BuiltJob,
  type ChangedFiles,
  configChanges,
  type LoadedJob,
  RunBuilds,
  watchJob,
} from "../../jobs/index.js";
import type { Outcome, Session } from "../../session/index.js";
import { type DealtWith, sendAgain } from "./send-again.js";
import { type DirectRun, type RunEnd, type RunEvent, runDirect } from "./run.js";
import { ensureFor, joinFor, type Surroundings, sweepAfter } from "./surroundings.js";

export interface LocalJobOptions extends Surroundings {
  /** Reads the job's configuration, again after it changed. Throws a KlioError. */
  readonly load: () => LoadedJob;
  /** The runtime for jobs that have none installed. */
  readonly bundledRuntime: string;
  /** Loads code and configuration again when they are saved. */
  readonly watch: boolean;
  /** Flags of klio-runtime, for batch jobs. */
  readonly flags: readonly string[];
  /** Folder for temporary files. */
  readonly temporary: string;
  readonly onEvent: (event: RunEvent) => void;
  /** A line that is no event, e.g. a crash of the runtime itself. */
  readonly onNoise: (line: string) => void;
}

/** Of klio-runtime, for batch jobs. */
const batchCodes = { unfinished: 4 } as const;

/** A job on this machine: built, run in the session of its project, and kept up with what is saved. */
export class LocalJob {
  /** Resolves to the exit code when the job has stopped for good. */
  readonly finished: Promise<number>;
  #finish: (code: number) => void = () => undefined;
  #ended = false;
  #run: DirectRun | undefined;
  #stopping = false;
  /** The run that ends is to be followed by another, and whoever ended it sees to that. */
  #replacing = false;
  /** Everything that changes or replaces the run is done one after the other. */
  #work: Promise<void> = Promise.resolve();
  #restartQueued = false;
  #unwatch: () => Promise<void> = () => Promise.resolve();
  #last: DealtWith | undefined;
  /** The run that there is talks to emulators that are gone. */
  #sessionLost = false;
  #savedAt = 0;
  /** What was wrong when something was saved last; an editor that saves in two steps would show it twice. */
  #refusal = "";

  private constructor(
    readonly options: LocalJobOptions,
    readonly builds: RunBuilds,
    public job: LoadedJob,
    public built: BuiltJob,
    public session: Session | undefined,
  ) {
    this.finished = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  /** Reads and builds a job, joins its session and creates what it needs there. Nothing runs yet. Throws a KlioError. */
  static async prepare(options: LocalJobOptions): Promise<LocalJob> {
    const job = options.load();
    const { streaming } = job.config.pipeline_options;
    if (options.watch && !streaming) {
      throw new KlioError("WATCH_BATCH", `${job.config.job_name} is a batch job, which ends by itself`, {
        hint: "Run it without --watch; running it again goes on where it stopped.",
      });
    }
    const builds = new RunBuilds(job.directory, options.bundledRuntime);
    const [session, built] = await Promise.allSettled([joinFor(job, options), builds.build(job)]);
    try {
      if (built.status === "rejected") throw built.reason;
      if (session.status === "rejected") throw session.reason;
      await ensureFor(job, session.value);
      return new LocalJob(options, builds, job, built.value, session.value);
    } catch (error) {
      if (session.status === "fulfilled") session.value?.leave();
      builds.close();
      throw error;
    }
  }

  get name(): string {
    return this.job.config.job_name;
  }

  get #isBatch(): boolean {
    return !this.job.config.pipeline_options.streaming;
  }

  /** The exit code of a job that was told to stop: a batch job is not finished then. */
  get stoppedCode(): number {
    return this.#isBatch ? batchCodes.unfinished : 0;
  }

  async start(): Promise<void> {
    if (this.session !== undefined) this.#attach(this.session);
    this.#launch();
    if (!this.options.watch) return;
    const unwatch = await watchJob(
      this.job,
      (changed) => void this.change(changed),
      (error) => {
        this.#tell({ event: "notice", message: `saved files may go unnoticed: ${String(error)}` });
      },
    );
    if (this.#ended) {
      await unwatch();
      return;
    }
    this.#unwatch = unwatch;
    // What was saved before anybody watched.
    void this.change({ config: true });
  }

  /** Gives up a job that was prepared and not started. */
  abandon(): void {
    this.session?.leave();
    this.builds.close();
  }

  /** Asks the job to stop; a second call ends its grace period. */
  stop(): void {
    const first = !this.#stopping;
    this.#stopping = true;
    if (this.#run === undefined) {
      if (!this.#replacing) void this.#end(this.stoppedCode);
    } else if (!first || !this.#replacing) {
      // A run that is being replaced was asked already.
      this.#run.stop();
    }
  }

  /** Takes over what was saved. What is wrong is told, and the job goes on as it was. */
  change(changed: ChangedFiles): Promise<void> {
    return this.#queue(() => this.#change(changed));
  }

  /** Stops the job and starts it again, with what is on disk now. */
  restart(): Promise<void> {
    if (this.#restartQueued) return this.#work;
    this.#restartQueued = true;
    return this.#queue(() => {
      this.#restartQueued = false;
      return this.#restart(this.options.load());
    });
  }

  /** Sends the message that was dealt with last once more, forced. Throws a KlioError when it cannot be sent. */
  async publishAgain(): Promise<void> {
    const message =
      this.#last === undefined || this.session === undefined
        ? "there is no message yet to send again"
        : await sendAgain(this.#last, this.job, this.session.pubsub);
    this.#tell({ event: "notice", message });
  }

  // ---- runs

  #queue(work: () => Promise<void>): Promise<void> {
    this.#work = this.#work
      .then(() => (this.#stopping ? undefined : work()))
      .catch((error: unknown) => {
        this.#tellBroken(error);
      });
    return this.#work;
  }

  #launch(): void {
    const { job, built, session, options } = this;
    session?.announceJob(job.config.job_name);
    const run = runDirect({
      runtime: built.runtime,
      buildDirectory: built.directory,
      jobDirectory: job.directory,
      addresses: session,
      watched: options.watch,
      stoppedCode: this.stoppedCode,
      flags: options.flags,
      onNoise: options.onNoise,
      onEvent: (event) => {
        this.#event(event);
      },
    });
    this.#run = run;
    void run.exited.then((end) => this.#exited(run, end));
  }

  #event(event: RunEvent): void {
    switch (event.event) {
      case "outcome":
        this.session?.reportOutcome(event as unknown as Outcome);
        if (typeof event["element"] === "string" && event["element"] !== "") {
          this.#last = { element: event["element"], input: String(event["input"]) };
        }
        break;
      case "reloaded":
        this.#tell({ ...event, took_ms: Date.now() - this.#savedAt });
        return;
      case "reload-failed":
        // Whatever was in the way may be gone when it is saved again, without a change.
        if (event["directory"] === this.built.directory) this.built = { ...this.built, digest: "" };
        break;
      case "draining":
      case "stopped":
        // It starts again at once: its end is of no interest.
        if (this.#replacing) return;
        break;
    }
    this.#tell(event);
  }

  #tell(event: RunEvent): void {
    this.options.onEvent("job" in event ? event : { ...event, job: this.name });
  }

  async #exited(run: DirectRun, { code, abnormal }: RunEnd): Promise<void> {
    this.#run = undefined;
    if (abnormal !== undefined) {
      sweepAfter(run.pid, this.options.temporary);
      const then = this.#isBatch ? "run it again and it goes on" : "its messages are delivered again";
      this.#tell({ event: "ended", severity: "ERROR", message: `${abnormal}; ${then}` });
    }
    if (this.#replacing) return;
    if (this.options.watch && !this.#stopping) {
      this.#tell({ event: "notice", message: "the job has ended; it starts again when something is saved" });
      return;
    }
    await this.#end(abnormal !== undefined && this.#isBatch ? batchCodes.unfinished : code);
  }

  async #end(code: number): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#unwatch();
    this.session?.leave();
    this.builds.close();
    this.#finish(code);
  }

  /** Ends the run if there is one, does `between`, and starts the next; unless the job is to stop, or done, meanwhile. */
  async #replace(hurry: boolean, between: () => Promise<void>): Promise<void> {
    this.#replacing = true;
    let end: RunEnd | undefined;
    try {
      const run = this.#run;
      run?.stop();
      if (hurry) run?.stop();
      end = await run?.exited;
      if (!this.#stopping && !this.#isDone(end)) await between();
    } finally {
      this.#replacing = false;
    }
    if (this.#isDone(end)) await this.#end(end?.code ?? 0);
    else if (this.#stopping) await this.#end(this.stoppedCode);
    else this.#launch();
  }

  /** A batch job that came to its end is not begun once more. */
  #isDone(end: RunEnd | undefined): boolean {
    return this.#isBatch && end?.abnormal === undefined && end !== undefined && end.code !== batchCodes.unfinished;
  }

  #attach(session: Session): void {
    this.#sessionLost = false;
    session.onGone(() => {
      if (this.session !== session) return;
      this.session = undefined;
      this.#sessionLost = true;
      void this.#queue(() => this.#sessionGone());
    });
  }

  /** Another session is started or joined, and the job goes on there. */
  async #sessionGone(): Promise<void> {
    this.#tell({
      event: "session-gone",
      severity: "WARNING",
      message: "the local session is gone; the job starts again in another, with what was stored",
    });
    // What is in hand can be neither published nor acknowledged there any more: no grace.
    await this.#startAnew(this.job, true);
  }

  // ---- changes

  async #change(changed: ChangedFiles): Promise<void> {
    this.#savedAt = Date.now();
    const job = changed.config ? this.options.load() : this.job;
    const changes = changed.config ? configChanges(this.job.config, job.config) : [];
    const effect = changes.some((c) => c.effect === "restart") ? "restart" : "reload";
    if (changes.length > 0) this.#tell({ event: "config-changed", changes, effect });
    if (this.#run === undefined || this.#sessionLost || effect === "restart") {
      await this.#restart(job);
      return;
    }
    const built = await this.builds.build(job);
    this.#refusal = "";
    if (built.digest === this.built.digest) {
      this.builds.discard(built);
      return;
    }
    if (changes.length > 0) await ensureFor(job, this.session);
    this.job = job;
    this.built = built;
    this.#tell({ event: "reloading", built_ms: Date.now() - this.#savedAt });
    this.#run.reload(built.directory);
  }

  async #restart(job: LoadedJob): Promise<void> {
    if (this.#run !== undefined) this.#tell({ event: "restarting" });
    await this.#startAnew(job, false);
  }

  /** First everything that can fail: the run that there is goes on if it does. */
  async #startAnew(job: LoadedJob, hurry: boolean): Promise<void> {
    const checked = await this.builds.build(job);
    const { project } = job.config.pipeline_options;
    const moves = this.session === undefined || project !== this.job.config.pipeline_options.project;
    let session: Session | undefined;
    try {
      session = moves ? await joinFor(job, this.options) : this.session;
      await ensureFor(job, session);
    } catch (error) {
      if (moves) session?.leave();
      this.builds.discard(checked);
      throw error;
    }
    this.#refusal = "";
    const taken = { session: !moves };
    await this.#replace(hurry, async () => {
      taken.session = true;
      if (moves) {
        this.session?.leave();
        this.session = session;
        if (session !== undefined) this.#attach(session);
      }
      this.job = job;
      // What was saved while the last messages were finished is in it too, if it is right.
      this.built = await this.builds.build(job).catch(() => checked);
      if (this.built !== checked) this.builds.discard(checked);
    });
    if (!taken.session) session?.leave();
  }

  #tellBroken(error: unknown): void {
    const known = error instanceof KlioError;
    const refusal = known ? [error.message, ...error.details].join("\n") : String(error);
    const again = refusal === this.#refusal;
    this.#refusal = refusal;
    if (again && this.#run !== undefined) return;
    this.#tell({
      event: "change-refused",
      severity: "ERROR",
      code: known ? error.code : "UNEXPECTED",
      message: known ? error.message : String(error),
      details: known ? error.details : [],
      ...(known && error.hint !== undefined ? { hint: error.hint } : {}),
      goes_on: this.#run !== undefined && !this.#sessionLost,
    });
    if (this.#run === undefined) {
      if (this.#stopping) void this.#end(this.stoppedCode);
      else if (!this.options.watch) void this.#end(1);
    } else if (this.#sessionLost && !this.options.watch) {
      // Nothing will mend it.
      this.stop();
      this.stop();
    }
  }
}
