import { openPubSub } from "../../cloud/index.js";
import { KlioError } from "../../errors.js";
import {
  type BuiltJob,
  type ChangedFiles,
  configChanges,
  type LoadedJob,
  RunBuilds,
  watchJob,
} from "../../jobs/index.js";
import { checkPublishOptions, publishAll } from "../../messages/index.js";
import type { Outcome, Session } from "../../session/index.js";
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

const republish = { force: true, ping: false, topDown: false, bottomUp: false, nonKlio: false };

/** A job on this machine: built, run in the session of its project, and kept up with what is saved. */
export class LocalJob {
  /** Resolves to the exit code when the job has stopped for good. */
  readonly finished: Promise<number>;
  #finish: (code: number) => void = () => undefined;
  #run: DirectRun | undefined;
  #stopping = false;
  /** What to do instead of ending when the run ends. */
  #next: (() => Promise<void>) | undefined;
  /** Changes are dealt with one after the other. */
  #changes: Promise<void> = Promise.resolve();
  #unwatch: () => Promise<void> = () => Promise.resolve();
  #lastElement: string | undefined;
  #watchedSession: Session | undefined;

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
    if (options.watch && !job.config.pipeline_options.streaming) {
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

  async start(): Promise<void> {
    this.#launch();
    if (this.options.watch) this.#unwatch = await watchJob(this.job, (changed) => void this.change(changed));
  }

  /** Gives up a job that was prepared and not started. */
  abandon(): void {
    this.session?.leave();
    this.builds.close();
  }

  /** Asks the job to stop; a second call ends its grace period. */
  stop(): void {
    this.#stopping = true;
    this.#next = undefined;
    if (this.#run === undefined) void this.#end(0);
    else this.#run.stop();
  }

  /** Takes over what was saved. What is wrong is told, and the job goes on as it was. */
  change(changed: ChangedFiles): Promise<void> {
    this.#changes = this.#changes
      .then(() => this.#change(changed))
      .catch((error: unknown) => {
        this.#tellBroken(error);
      });
    return this.#changes;
  }

  /** Stops the job and starts it again, with what is on disk now. */
  restart(): Promise<void> {
    this.#changes = this.#changes
      .then(() => this.#restart(this.options.load()))
      .catch((error: unknown) => {
        this.#tellBroken(error);
      });
    return this.#changes;
  }

  /** Sends the element that was dealt with last once more, forced. */
  async publishAgain(): Promise<void> {
    const element = this.#lastElement;
    if (element === undefined || this.session === undefined) {
      this.#tell({ event: "notice", message: "there is no message yet to send again" });
      return;
    }
    const topic = checkPublishOptions(republish, this.job.config);
    const pubsub = await openPubSub(this.session.pubsub);
    try {
      await publishAll([element], republish, this.job.config, pubsub, topic);
      this.#tell({ event: "notice", message: `sent again, forced: ${element}` });
    } finally {
      await pubsub.close();
    }
  }

  // ---- runs

  #launch(): void {
    const { job, built, session, options } = this;
    session?.announceJob(job.config.job_name);
    if (session !== this.#watchedSession) {
      this.#watchedSession = session;
      session?.onGone(() => {
        this.#sessionGone();
      });
    }
    this.#run = runDirect({
      runtime: built.runtime,
      buildDirectory: built.directory,
      jobDirectory: job.directory,
      addresses: session,
      watched: options.watch,
      flags: options.flags,
      onNoise: options.onNoise,
      onEvent: (event) => {
        this.#event(event);
      },
    });
    const run = this.#run;
    void run.exited.then((end) => this.#exited(run, end));
    if (this.#stopping) run.stop();
  }

  #event(event: RunEvent): void {
    if (event.event === "outcome") {
      this.session?.reportOutcome(event as unknown as Outcome);
      if (typeof event["element"] === "string" && event["element"] !== "") this.#lastElement = event["element"];
    }
    if (event.event === "reload-failed" && typeof event["directory"] === "string") {
      this.builds.discard({ ...this.built, directory: event["directory"] });
    }
    this.#tell(event);
  }

  #tell(event: RunEvent): void {
    this.options.onEvent("job" in event ? event : { ...event, job: this.name });
  }

  async #exited(run: DirectRun, { code, abnormal }: RunEnd): Promise<void> {
    if (abnormal !== undefined) {
      sweepAfter(run.pid, this.options.temporary);
      const again = this.job.config.pipeline_options.streaming ? "; its messages are delivered again" : "";
      this.#tell({ event: "ended", severity: "ERROR", message: `${abnormal}${again}` });
    }
    this.#run = undefined;
    const next = this.#next;
    this.#next = undefined;
    if (next !== undefined && !this.#stopping) {
      await next().catch((error: unknown) => {
        this.#tellBroken(error);
        void this.#end(1);
      });
      return;
    }
    if (this.options.watch && !this.#stopping) {
      this.#tell({ event: "notice", message: "the job has ended; it starts again when something is saved" });
      return;
    }
    await this.#end(code);
  }

  async #end(code: number): Promise<void> {
    await this.#unwatch();
    this.session?.leave();
    this.builds.close();
    this.#finish(code);
  }

  /** Another session is started or joined, and the job goes on there. */
  #sessionGone(): void {
    if (this.#stopping) return;
    this.#tell({
      event: "session-gone",
      severity: "WARNING",
      message: "the local session is gone, and the messages in it; the job starts again in another",
    });
    const start = async () => {
      this.session?.leave();
      this.session = await joinFor(this.job, this.options);
      this.built = await this.builds.build(this.job);
      await ensureFor(this.job, this.session);
      this.#launch();
    };
    this.#next = start;
    // Nothing of it can be published or acknowledged any more: no grace.
    const run = this.#run;
    if (run === undefined) void start();
    run?.stop();
    run?.stop();
  }

  // ---- changes

  async #change(changed: ChangedFiles): Promise<void> {
    if (this.#stopping) return;
    const saved = Date.now();
    const job = changed.config ? this.options.load() : this.job;
    const changes = changed.config ? configChanges(this.job.config, job.config) : [];
    if (changes.length > 0) {
      const effect = changes.some((c) => c.effect === "restart") ? "restart" : "reload";
      this.#tell({ event: "config-changed", changes, effect });
      if (effect === "restart") {
        await this.#restart(job);
        return;
      }
    }
    const built = await this.builds.build(job);
    if (built.digest === this.built.digest) {
      this.builds.discard(built);
      return;
    }
    if (changes.length > 0) await ensureFor(job, this.session);
    this.job = job;
    this.built = built;
    if (this.#run === undefined) {
      this.#launch();
      return;
    }
    this.#tell({ event: "reloading", built_ms: Date.now() - saved });
    this.#run.reload(built.directory);
  }

  async #restart(job: LoadedJob): Promise<void> {
    if (this.#stopping) return;
    // First everything that can fail: the job that runs goes on if it does.
    const built = await this.builds.build(job);
    const moved = job.config.pipeline_options.project !== this.job.config.pipeline_options.project;
    const session = moved ? await joinFor(job, this.options) : this.session;
    await ensureFor(job, session);
    this.#tell({ event: "restarting" });
    const launch = () => {
      if (moved) this.session?.leave();
      this.session = session;
      this.job = job;
      this.built = built;
      this.#launch();
      return Promise.resolve();
    };
    if (this.#run === undefined) {
      await launch();
      return;
    }
    this.#next = launch;
    this.#run.stop();
  }

  #tellBroken(error: unknown): void {
    if (!(error instanceof KlioError)) throw error;
    const { code, message, details, hint } = error;
    this.#tell({
      event: "change-refused",
      severity: "ERROR",
      code,
      message,
      details,
      ...(hint === undefined ? {} : { hint }),
    });
  }
}
