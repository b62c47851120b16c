import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { EffectiveConfig, FileInput, FileOutput } from "@klio/config/effective";
import { deadLetterKind } from "@klio/config/effective";
import { BatchError, callEventFiles } from "./event-files.js";
import { Journal } from "./journal.js";
import { own } from "./owner.js";
import type { Delivered, Gathered } from "./records.js";

interface RunFile extends Gathered {
  /** Made when the run began; it and an element's place make the element's klio-id. */
  readonly id: string;
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
    readonly disown: () => void,
  ) {
    this.before = outcomes;
  }

  /**
   * Reads the event files, and goes on with the interrupted run of the same elements if there is one.
   * Throws a {@link BatchError} when a file is missing, or when another process runs the job through its files.
   */
  static async open(options: RunFolderOptions): Promise<RunFolder> {
    const { config, state, eventFiles, fresh, signal } = options;
    const path = join(state, config.job_name);
    await mkdir(path, { recursive: true });
    const owned = await own(path);
    if (typeof owned === "number") {
      throw new BatchError(
        "BATCH_RUNNING",
        `another process (${owned}) is running ${config.job_name} through its files`,
      );
    }
    try {
      const inputs = config.job_config.events.inputs.filter((i): i is FileInput => i.type === "file");
      const elements = join(path, "elements.ndjson");
      const project = config.pipeline_options.project;
      const gathered = await callEventFiles(
        eventFiles,
        { command: "gather", project, inputs, elements: `${elements}.new` },
        signal,
      );
      const run = await settleRun(path, gathered, fresh);
      await rename(`${elements}.new`, elements);
      const done = new Set<number>();
      const outcomes = new Map<string, number>();
      const journal = await Journal.open(join(path, "journal.ndjson"), ({ n, outcome }) => {
        done.add(n);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      });
      return new RunFolder(options, path, run, journal, done, outcomes, owned);
    } catch (error) {
      owned();
      throw error;
    }
  }

  get elements(): string {
    return join(this.path, "elements.ndjson");
  }

  /** Writes the text files of event outputs, and the file of dead letters. Throws a {@link BatchError}. */
  deliver(): Promise<Delivered> {
    const { config, eventFiles, signal } = this.options;
    const { events, delivery } = config.job_config;
    const outputs = events.outputs.filter((o): o is FileOutput => o.type === "file" && !o.skip_klio_write);
    const toFile = deadLetterKind(delivery.dead_letter) === "file";
    return callEventFiles(
      eventFiles,
      {
        command: "deliver",
        project: config.pipeline_options.project,
        outputs,
        journal: join(this.path, "journal.ndjson"),
        ...(toFile ? { deadLetters: delivery.dead_letter } : {}),
      },
      signal,
    );
  }

  /** Gives the folder up. `over`: the run is complete, nothing of it is needed any more. */
  async close(over: boolean): Promise<void> {
    await this.journal.close();
    if (over) await rm(this.path, { recursive: true, force: true });
    else this.disown();
  }
}

/** The interrupted run if it had the same elements, else a new one, for which the old one's journal is taken away. */
async function settleRun(path: string, gathered: Gathered, fresh: boolean): Promise<RunFile> {
  const file = join(path, "run.json");
  const old = existsSync(file) && !fresh ? parse(readFileSync(file, "utf8")) : undefined;
  if (old?.digest === gathered.digest) return old;
  await rm(join(path, "journal.ndjson"), { force: true });
  const run: RunFile = { id: randomBytes(8).toString("hex"), ...gathered };
  await writeFile(`${file}.new`, JSON.stringify(run));
  await rename(`${file}.new`, file);
  return run;
}

function parse(text: string): RunFile | undefined {
  try {
    return JSON.parse(text) as RunFile;
  } catch {
    return undefined;
  }
}
