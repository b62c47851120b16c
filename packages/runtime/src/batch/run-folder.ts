import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { EffectiveConfig, FileInput, FileOutput } from "@klio/config/effective";
import { deadLetterKind } from "@klio/config/effective";
import { syncFolder } from "../durable.js";
import { BatchError, callEventFiles } from "./event-files.js";
import { Journal } from "./journal.js";
import { own, type Ownership } from "./owner.js";
import type { Delivered, Gathered } from "./records.js";

interface RunFile extends Gathered {
  /** Made when the run began; it and an element's place make the element's klio-id. */
  readonly id: string;
  /** Where what is done goes to: the journal is kept by it. */
  readonly outputs: readonly string[];
}

export interface RunFolderOptions {
  readonly config: EffectiveConfig;
  /** Folder of all runs, one folder a job in it. */
  readonly state: string;
  /** Module of the process that reads and writes event files. */
  readonly eventFiles: string;
  /** Begin from the first element although an interrupted run could go on. */
  readonly fresh: boolean;
  readonly signal: AbortSignal;
}

/** What one run of a job through its event files keeps on disk: the elements, and a journal of those that are done. */
export class RunFolder {
  /** How many elements had which outcome before this process. */
  readonly before: ReadonlyMap<string, number>;

  private constructor(
    readonly options: RunFolderOptions,
    readonly path: string,
    readonly run: RunFile,
    readonly journal: Journal,
    readonly done: ReadonlySet<number>,
    outcomes: ReadonlyMap<string, number>,
    /** How many elements an interrupted run was done with that cannot be gone on with, because files or outputs changed. */
    readonly forsaken: number,
    readonly ownership: Ownership,
  ) {
    this.before = outcomes;
  }

  /**
   * Reads the event files, and goes on with the interrupted run of the same elements and outputs if there is one.
   * Throws a {@link BatchError} when a file is missing, or when another process runs the job through its files.
   */
  static async open(options: RunFolderOptions): Promise<RunFolder> {
    const { config, state, eventFiles, signal } = options;
    const path = join(state, config.job_name);
    await sweepOver(state, config.job_name);
    const owned = await own(path);
    if (typeof owned === "string") {
      const message = `another process (${owned}) is running ${config.job_name} through its files`;
      throw new BatchError("BATCH_RUNNING", message);
    }
    try {
      const inputs = config.job_config.events.inputs.filter((i): i is FileInput => i.type === "file");
      const elements = join(path, "elements.ndjson");
      const project = config.pipeline_options.project;
      const request = { command: "gather", project, inputs, elements: `${elements}.new` } as const;
      const gathered = await callEventFiles(eventFiles, request, signal);
      const { run, forsaken } = await settleRun(path, gathered, options);
      await rename(`${elements}.new`, elements);
      await syncFolder(path);
      const done = new Set<number>();
      const outcomes = new Map<string, number>();
      const journal = await Journal.open(join(path, "journal.ndjson"), ({ n, outcome }) => {
        done.add(n);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      });
      return new RunFolder(options, path, run, journal, done, outcomes, forsaken, owned);
    } catch (error) {
      owned.release();
      throw error;
    }
  }

  get elements(): string {
    return join(this.path, "elements.ndjson");
  }

  /** Writes the text files of event outputs, and the file of dead letters. Throws a {@link BatchError}. */
  deliver(): Promise<Delivered> {
    const { config, eventFiles } = this.options;
    const { events, delivery } = config.job_config;
    const outputs = events.outputs.filter((o): o is FileOutput => o.type === "file" && !o.skip_klio_write);
    const toFile = deadLetterKind(delivery.dead_letter) === "file";
    // Not to be interrupted: it is short, and the run is over with it.
    return callEventFiles(eventFiles, {
      command: "deliver",
      project: config.pipeline_options.project,
      outputs,
      journal: join(this.path, "journal.ndjson"),
      elements: this.run.total,
      ...(toFile ? { deadLetters: delivery.dead_letter } : {}),
    });
  }

  /** Gives the folder up. `over`: the run is complete, nothing of it is needed any more. */
  async close(over: boolean): Promise<void> {
    await this.journal.close();
    if (!over) {
      this.ownership.release();
      return;
    }
    // Moved away first: whoever comes next has a folder of its own.
    const aside = `${this.path}.over.${randomBytes(4).toString("hex")}`;
    await rename(this.path, aside);
    this.ownership.forget();
    await rm(aside, { recursive: true, force: true });
  }
}

/** The interrupted run if it had the same elements and outputs, else a new one, and the old one's journal is taken away. */
async function settleRun(path: string, gathered: Gathered, { config, fresh }: RunFolderOptions) {
  const file = join(path, "run.json");
  const { events, delivery } = config.job_config;
  const outputs = [
    ...events.outputs.map(
      (o) => `${o.type} ${o.name} ${o.type === "pubsub" ? o.topic : ""} ${String(o.skip_klio_write)}`,
    ),
    deadLetterKind(delivery.dead_letter),
  ];
  const old = existsSync(file) ? parse(readFileSync(file, "utf8")) : undefined;
  const same = old?.digest === gathered.digest && JSON.stringify(old.outputs) === JSON.stringify(outputs);
  if (old !== undefined && same && !fresh) return { run: old, forsaken: 0 };
  const journal = join(path, "journal.ndjson");
  const forsaken = fresh ? 0 : await Journal.count(journal);
  await rm(journal, { force: true });
  const run: RunFile = { id: randomBytes(8).toString("hex"), outputs, ...gathered };
  const written = await open(`${file}.new`, "w");
  await written.writeFile(JSON.stringify(run));
  await written.sync();
  await written.close();
  await rename(`${file}.new`, file);
  return { run, forsaken };
}

/** What a process that was killed at its very end has left. */
async function sweepOver(state: string, job: string): Promise<void> {
  for (const name of await readdir(state).catch(() => [])) {
    if (name.startsWith(`${job}.over.`)) await rm(join(state, name), { recursive: true, force: true });
  }
}

function parse(text: string): RunFile | undefined {
  try {
    return JSON.parse(text) as RunFile;
  } catch {
    return undefined;
  }
}
