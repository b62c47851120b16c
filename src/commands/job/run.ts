import { relative } from "node:path";
import { Flags } from "@oclif/core";
import { loadJob, type LoadedJob, typeErrors } from "../../jobs/index.js";
import { chooseRunner, type LocalRun, type RunEvent, runLocally } from "../../runners/index.js";
import { jobFlags, KlioCommand } from "../../ui/klio-command.js";
import { eventLine, readyLines } from "../../ui/run-view.js";

export default class JobRun extends KlioCommand {
  static override summary = "Run a job.";
  static override description = `With --direct-runner it runs on this machine: no account, no Docker, no network. The job's topics, subscriptions and
buckets are created in a local session, which all jobs of a project share and which ends with the last of them.
Ctrl-C finishes the messages in hand and stops; a second one gives them back at once.
Not yet delivered messages live as long as the session; objects stay.`;
  static override examples = [
    "<%= config.bin %> job run --direct-runner",
    "<%= config.bin %> job run --direct-runner --job-dir my-job --override job_config.workers.count=1",
    "<%= config.bin %> job run --direct-runner --json | jq 'select(.event == \"outcome\")'",
  ];
  static override enableJsonFlag = false;
  static override flags = {
    ...jobFlags,
    "direct-runner": Flags.boolean({ description: "run on this machine, against local emulators" }),
    json: Flags.boolean({ description: "print every event as a line of JSON on stdout" }),
  };

  #json = false;

  override jsonEnabled(): boolean {
    return this.#json;
  }

  async run(): Promise<void> {
    const { flags } = await this.parse(JobRun);
    this.#json = flags.json;
    const job = loadJob(this.jobOptions(flags));
    this.tellWarnings(job);
    if (!flags["direct-runner"]) throw chooseRunner(job.config.pipeline_options.runner);
    let stopping = false;
    const run = await runLocally({
      job,
      session: this.sessionKey(job.config.pipeline_options.project),
      sessionEntry: this.assets.sessionEntry,
      bundledRuntime: this.assets.runtime,
      onEvent: (event) => {
        this.#show(event, job, started);
      },
      onNoise: (line) => process.stderr.write(`${line}\n`),
      onSessionGone: () => {
        if (!stopping)
          this.tell("! the local session is gone; the job waits for it. Stop the job with Ctrl-C and run it again.");
      },
    });
    const started = run;
    const typeCheck = new AbortController();
    const stop = () => {
      stopping = true;
      typeCheck.abort();
      run.stop();
    };
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, stop);
    void this.#checkTypes(job, typeCheck.signal);
    const { code, abnormal } = await run.exited;
    if (abnormal !== undefined) this.tell(`✘ ${abnormal}; its messages are delivered again`);
    process.exitCode = code;
    typeCheck.abort();
  }

  #show(event: RunEvent, job: LoadedJob, run: LocalRun): void {
    if (this.#json) {
      const addresses = event.event === "ready" ? { pubsub: run.session.pubsub, storage: run.session.storage } : {};
      process.stdout.write(`${JSON.stringify({ ...event, ...addresses })}\n`);
      return;
    }
    const storage = relative(process.cwd(), `${job.directory}/.klio/storage`);
    if (event.event === "ready") for (const line of readyLines(event, run.session, storage)) this.tell(line);
    const line = eventLine(event, { storage });
    if (line !== undefined) this.tell(line);
  }

  async #checkTypes(job: LoadedJob, signal: AbortSignal): Promise<void> {
    const errors = await typeErrors(job.directory, signal).catch(() => []);
    if (this.#json)
      for (const message of errors) process.stdout.write(`${JSON.stringify({ event: "type-error", message })}\n`);
    else for (const error of errors) this.tell(`! ${error}`);
  }
}
