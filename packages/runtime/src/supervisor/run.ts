import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type EffectiveConfig, effectiveFile } from "@klio/config/effective";
import { BatchError } from "../batch/event-files.js";
import { RunFolder } from "../batch/run-folder.js";
import { type Emit, emitTo } from "./events.js";
import { realClock } from "../clock.js";
import { messageOf } from "../error-message.js";
import { flushTelemetry } from "../engine/otel-metrics.js";
import { logMetrics } from "../metrics/log.js";
import { observeByOtel } from "../metrics/otel.js";
import { PrometheusMetrics } from "../metrics/prometheus.js";
import { type Clients, connect } from "../pubsub/clients.js";
import type { Fatal } from "../worker/fatal.js";
import { realEdges, usesPubSub } from "./edges.js";
import { type HttpEndpoint, serve } from "./http.js";
import { memoryOf } from "./memory-watch.js";
import { makeWorkers } from "./start-worker.js";
import { Supervisor } from "./supervisor.js";
import { makeTemporaryRoot, removeQuietly } from "./temporary.js";
import type { Build } from "./worker.js";

/** How `klio-runtime run` ends. */
export const exitCodes = {
  /** A streaming job was stopped in order; a batch job is done with all its elements. */
  done: 0,
  /** The job cannot run. */
  failed: 1,
  /** Wrong usage. */
  usage: 2,
  /** A batch job is done, and some of its elements are dead letters. */
  deadLetters: 3,
  /** A batch job was stopped before its end; running it again goes on. */
  unfinished: 4,
} as const;

export interface RunOptions {
  /** The built job; absolute. */
  readonly directory: string;
  readonly config: EffectiveConfig;
  /** Folder for what interrupted batch runs leave to go on with. */
  readonly state: string;
  /** Begin a batch job from its first element. */
  readonly fresh: boolean;
  /** Dead letters are no reason for a batch job's exit code to be other than 0. */
  readonly allowDeadLetters: boolean;
  /** Commands come on stdin, and its end stops the job. */
  readonly attended: boolean;
  /** Other code is to be expected: a worker is kept ready for it. */
  readonly watched: boolean;
  /** The builds it is given are removed when they are of no more use. */
  readonly ownsBuild: boolean;
  /** Where /healthz, /readyz, /metrics and /in-flight are served; port 0: any that is free. */
  readonly http: { readonly host: string; readonly port: number };
}

/** Runs a built job until it is stopped, or done. Resolves to the exit code. */
export async function runJob(options: RunOptions): Promise<number> {
  const started = Date.now();
  const print = emitTo(process.stdout);
  let readyAt: number | undefined;
  const emit: Emit = (event) => {
    if (event.event === "ready") readyAt ??= Date.now();
    print(event);
  };
  const stopped = new AbortController();
  const life = new Life(options, emit, stopped);
  let run: RunFolder | undefined;
  try {
    run = await openRun(options, stopped.signal);
  } catch (error) {
    if (stopped.signal.aborted) return life.stoppedEarly();
    if (!(error instanceof BatchError)) throw error;
    emit({ event: "fatal", severity: "ERROR", code: error.code, message: error.message, stack: "" });
    return exitCodes.failed;
  }
  if (run !== undefined) {
    const { total: elements, blank } = run.run;
    if (run.forsaken > 0) {
      const message = `event files, outputs or dead_letter are not what they were: ${run.forsaken} element(s) that an interrupted run was done with are done again (those whose output exists pass)`;
      emit({ event: "trouble", severity: "WARNING", code: "BATCH_FORSAKEN", message });
    }
    emit({ event: "gathered", job: options.config.job_name, elements, blank, done: run.done.size });
  }
  const code = await life.run(run);
  if (run === undefined || options.config.pipeline_options.streaming || code === exitCodes.failed) {
    await run?.close(false);
    return code;
  }
  return finishBatch({ run, life, options, emit, stopped: code === exitCodes.unfinished, started: readyAt ?? started });
}

function openRun(options: RunOptions, signal: AbortSignal): Promise<RunFolder> | undefined {
  const { config, state, fresh } = options;
  if (!config.job_config.events.inputs.some((i) => i.type === "file")) return undefined;
  return RunFolder.open({ config, state, fresh, signal, eventFiles: join(import.meta.dirname, "event-files.js") });
}

/** From the start of the workers to the end of the last. */
class Life {
  supervisor: Supervisor | undefined;
  #exitCode: number = exitCodes.done;
  #drained: Promise<void> | undefined;
  /** Builds that were taken into service, the first among them. */
  readonly #builds: string[];
  /** The last one that was to be taken into service. */
  #build: Build | undefined;
  #finish: () => void = () => undefined;

  constructor(
    readonly options: RunOptions,
    readonly emit: Emit,
    readonly stopped: AbortController,
  ) {
    this.#builds = [options.directory];
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => {
        this.#stop(signal);
      });
    }
    if (options.attended) this.#attend();
  }

  /** The exit code when it was told to stop before anything ran. */
  stoppedEarly(): number {
    return this.options.config.pipeline_options.streaming ? exitCodes.done : exitCodes.unfinished;
  }

  async run(run: RunFolder | undefined): Promise<number> {
    const { config, directory, watched, ownsBuild } = this.options;
    if (this.#isStopped()) return this.stoppedEarly();
    const clients = connect(process.env["PUBSUB_EMULATOR_HOST"]);
    if (usesPubSub(config) && !(await this.#signIn(clients))) return this.#exitCode;
    const temporaryRoot = makeTemporaryRoot();
    const place = { bundles: import.meta.dirname, temporary: temporaryRoot, processors: availableParallelism() };
    const workers = await makeWorkers(config, place);
    if (this.#isStopped()) {
      removeQuietly(temporaryRoot);
      return this.stoppedEarly();
    }
    const over = new Promise<void>((resolve) => {
      this.#finish = resolve;
    });
    const onTrouble = (message: string) => {
      this.emit({ event: "trouble", severity: "WARNING", code: "METRICS_FULL", message });
    };
    const metrics = new PrometheusMetrics(config.job_name, () => this.#live(), onTrouble);
    const supervisor = new Supervisor({
      config,
      edges: realEdges(config, clients, run),
      emit: this.emit,
      observer: metrics,
      clock: realClock,
      fleet: {
        start: workers.start,
        build: { directory, configJson: JSON.stringify(config) },
        workers: workers.count,
        memory: workers.memory,
        warm: watched && config.job_config.workers.mode === "process",
        onRetired: (build) => {
          if (ownsBuild) removeQuietly(build.directory);
        },
      },
      onFatal: (failure) => {
        this.#fail(failure);
      },
      onEnd: () => {
        this.#drain("every element is done");
      },
    });
    this.supervisor = supervisor;
    const endpoint = await this.#serve(supervisor, metrics);
    const stopLogging = logMetrics(metrics.totals, config.job_config.metrics_logger, this.emit);
    observeByOtel(metrics);
    if (config.job_config.workers.mode === "inline") process.once("exit", endedByOthers);
    supervisor.start();
    if (this.#build !== undefined) supervisor.reload(this.#build);
    await over;
    process.off("exit", endedByOthers);
    stopLogging();
    await flushTelemetry();
    await endpoint?.close();
    await clients.close();
    removeQuietly(temporaryRoot);
    if (ownsBuild) for (const build of this.#builds) removeQuietly(build);
    return this.#exitCode;
  }

  /** Whether the job can go on: there are credentials, and nobody stopped it meanwhile. */
  async #signIn(clients: Clients): Promise<boolean> {
    try {
      await clients.initialize();
    } catch (error) {
      const way = "Sign in with: gcloud auth application-default login; or name an emulator in PUBSUB_EMULATOR_HOST";
      this.#fail({ code: "PUBSUB_CREDENTIALS", message: `Pub/Sub: ${messageOf(error)} ${way}`, stack: "" });
      return false;
    }
    return !this.#isStopped();
  }

  #isStopped(): boolean {
    return this.stopped.signal.aborted;
  }

  #live() {
    const load = this.supervisor?.load() ?? { messages: 0, bytes: 0, oldest: 0 };
    return {
      inFlightMessages: load.messages,
      inFlightBytes: load.bytes,
      oldestSeconds: load.oldest === 0 ? 0 : Math.max(0, Date.now() - load.oldest) / 1_000,
      ready: this.supervisor?.status().ready ?? false,
      workers: (this.supervisor?.workers() ?? []).map((w) => ({
        number: w.number,
        bytes: w.pid === 0 ? process.memoryUsage.rss() : memoryOf(w.pid),
      })),
    };
  }

  /** Undefined when the port is taken: then the job cannot run. */
  async #serve(supervisor: Supervisor, metrics: PrometheusMetrics): Promise<HttpEndpoint | undefined> {
    const { config, http } = this.options;
    const inFlight = () => supervisor.inFlight();
    process.on("SIGUSR2", () => {
      this.emit({ event: "in-flight", job: config.job_name, messages: inFlight() });
    });
    const options = { ...http, status: () => supervisor.status(), metrics: () => metrics.text(), inFlight };
    try {
      const endpoint = await serve(options);
      this.emit({ event: "listening", job: config.job_name, url: endpoint.url });
      return endpoint;
    } catch (error) {
      this.#fail({ code: "HTTP_PORT", message: `${http.host}:${http.port}: ${messageOf(error)}`, stack: "" });
      return undefined;
    }
  }

  #fail({ code, message, stack }: Fatal): void {
    if (this.#exitCode !== exitCodes.failed) this.emit({ event: "fatal", severity: "ERROR", code, message, stack });
    this.#exitCode = exitCodes.failed;
    this.supervisor?.hurry();
    this.#drain("the job cannot run");
  }

  #stop(reason: string): void {
    this.stopped.abort();
    if (this.#drained !== undefined) this.supervisor?.hurry();
    else if (!this.options.config.pipeline_options.streaming) this.#exitCode = exitCodes.unfinished;
    this.#drain(reason);
  }

  #drain(reason: string): void {
    this.#drained ??= this.supervisor?.drain(reason).finally(() => {
      this.#finish();
    });
  }

  #reload(directory: string): void {
    this.#builds.push(directory);
    try {
      this.#build = { directory, configJson: readFileSync(join(directory, effectiveFile), "utf8") };
    } catch (error) {
      const { job_name: job } = this.options.config;
      const message = messageOf(error);
      this.emit({ event: "reload-failed", severity: "ERROR", job, directory, code: "JOB_CONFIG", message, stack: "" });
      return;
    }
    this.supervisor?.reload(this.#build);
  }

  /** Listens to whoever started this process. */
  #attend(): void {
    const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
    lines.on("line", (line) => {
      const { command, directory } = JSON.parse(line) as { command: string; directory: string };
      if (command === "reload") this.#reload(directory);
    });
    process.stdin.once("close", () => {
      this.#stop("the parent process is gone");
    });
  }
}

/** Inline, user code can end this process, and what is in hand is delivered again. */
function endedByOthers(code: number): void {
  process.stderr.write(`process.exit(${code}) was called amid the job: inline, that ends it\n`);
}

interface Finish {
  readonly run: RunFolder;
  readonly life: Life;
  readonly options: RunOptions;
  readonly emit: Emit;
  /** Before its end. */
  readonly stopped: boolean;
  /** Milliseconds since the epoch. */
  readonly started: number;
}

/** Writes what a batch run that came to its end leaves, and says how it went. */
async function finishBatch({ run, life, options, emit, stopped, started }: Finish): Promise<number> {
  const counts = life.supervisor?.counts();
  const outcomes = new Map(run.before);
  for (const [name, n] of counts?.outcomes ?? []) outcomes.set(name, (outcomes.get(name) ?? 0) + n);
  const failed = counts?.failed ?? 0;
  const complete = !stopped && failed === 0;
  const dead = outcomes.get("dead-letter") ?? 0;
  try {
    // Files of a run that is not complete would look like those of one that is.
    const delivered = complete ? await run.deliver() : { files: [] };
    emit({
      event: "summary",
      severity: complete && dead === 0 ? "INFO" : "WARNING",
      job: options.config.job_name,
      complete,
      elements: run.run.total,
      outcomes: Object.fromEntries(outcomes),
      failed,
      resumed: run.done.size,
      duration_ms: Date.now() - started,
      files: delivered.files,
      ...(delivered.deadLetters === undefined ? {} : { dead_letters: delivered.deadLetters }),
    });
  } catch (error) {
    await run.close(false);
    if (!(error instanceof BatchError)) throw error;
    emit({ event: "fatal", severity: "ERROR", code: error.code, message: error.message, stack: "" });
    return exitCodes.failed;
  }
  await run.close(complete);
  if (!complete) return exitCodes.unfinished;
  return dead > 0 && !options.allowDeadLetters ? exitCodes.deadLetters : exitCodes.done;
}
