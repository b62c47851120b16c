import { relative } from "node:path";
import { chalkStderr } from "chalk";
import { jsonLine } from "@klio/runtime/json-line";
import type { LocalJob, RunEvent } from "../runners/index.js";
import { Progress } from "./batch-view.js";
import { eventLine, readyLines } from "./run-view.js";

/** From all to only what went wrong. */
export const logLevels = ["debug", "info", "warning", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

export interface JobsViewOptions {
  readonly json: boolean;
  readonly level: LogLevel;
  /** Whether stderr is a terminal. */
  readonly terminal: boolean;
  readonly cwd: string;
}

const colours = ["cyan", "magenta", "yellow", "blue", "green"] as const;
const everyMs = 100;
const withoutTerminalMs = 5_000;

/** What one or several jobs that run tell their user: a line for each thing of note, and how far batch jobs are. */
export class JobsView {
  level: LogLevel;
  readonly #progress = new Map<string, Progress>();
  readonly #prefixes = new Map<string, string>();
  #barShown = false;
  readonly #timer: NodeJS.Timeout;

  constructor(readonly options: JobsViewOptions) {
    this.level = options.level;
    this.#timer = setInterval(
      () => {
        this.#draw();
      },
      options.terminal ? everyMs : withoutTerminalMs,
    );
    this.#timer.unref();
  }

  /** Names the jobs, when there are several. */
  prefix(names: readonly string[]): void {
    if (names.length < 2) return;
    const width = Math.max(...names.map((n) => n.length));
    names.forEach((name, i) => {
      this.#prefixes.set(name, `${chalkStderr[colours[i % colours.length] ?? "cyan"](name.padEnd(width))} `);
    });
  }

  close(): void {
    clearInterval(this.#timer);
    this.#erase();
  }

  /** A line for people, on stderr. */
  tell(line: string, job = ""): void {
    if (this.options.json) return;
    this.#erase();
    const prefix = this.#prefixes.get(job) ?? "";
    process.stderr.write(`${prefix}${line.replaceAll("\n", `\n${prefix}`)}\n`);
    if (this.options.terminal) this.#draw();
  }

  show(event: RunEvent, job: LocalJob | undefined): void {
    const { json, cwd } = this.options;
    if (json) {
      const { pubsub, storage } = job?.session ?? {};
      const addresses = event.event === "ready" ? { pubsub, storage } : {};
      process.stdout.write(jsonLine({ ...event, ...addresses }));
      return;
    }
    const name = typeof event["job"] === "string" ? event["job"] : "";
    const storage = job === undefined ? "" : relative(cwd, `${job.job.directory}/.klio/storage`);
    this.#count(name, event);
    if (!this.#isShown(name, event)) return;
    if (event.event === "ready") for (const line of readyLines(event, job?.session, storage)) this.tell(line, name);
    const line = eventLine(event, { storage });
    if (line !== undefined) this.tell(line, name);
  }

  #count(name: string, event: RunEvent): void {
    if (event.event === "gathered") this.#progress.set(name, new Progress());
    this.#progress.get(name)?.add(event);
    if (event.event === "summary" || event.event === "stopped" || event.event === "ended") {
      this.#erase();
      this.#progress.delete(name);
    }
  }

  #isShown(name: string, event: RunEvent): boolean {
    const { event: kind } = event;
    const severity = severityOf(event);
    // The outcome tells of it, with the frames that are the user's own.
    if (event["of_dead_letter"] === true && this.level !== "debug") return false;
    // The bar counts what goes well in a batch job.
    if (kind === "outcome" && this.#progress.has(name) && severity < 2) return false;
    if (kind !== "outcome" && kind !== "log" && kind !== "retry") return true;
    return severity >= logLevels.indexOf(this.level);
  }

  #draw(): void {
    const running = [...this.#progress].filter(([, p]) => p.begun);
    if (running.length === 0 || this.options.json) return;
    if (!this.options.terminal) {
      for (const [name, progress] of running) this.tell(progress.line(0).trimStart(), name);
      return;
    }
    const [first] = running;
    if (first === undefined) return;
    const columns = process.stderr.columns || 80;
    const more = running.length > 1 ? ` (${first[0]}, and ${running.length - 1} more)` : "";
    const shown = more.length < columns / 2 ? more : "";
    process.stderr.write(`\r\u001b[2K${first[1].line(columns - shown.length)}${shown}`);
    this.#barShown = true;
  }

  #erase(): void {
    if (!this.#barShown) return;
    process.stderr.write("\r\u001b[2K");
    this.#barShown = false;
  }
}

/** Position in {@link logLevels}. */
function severityOf(event: RunEvent): number {
  const severity = typeof event["severity"] === "string" ? event["severity"].toLowerCase() : "info";
  const at = (logLevels as readonly string[]).indexOf(severity);
  return at < 0 ? 1 : at;
}
