import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Ledger } from "./ledger/ledger.js";
import { childrenOf, isRunning, listeningPorts, portsOf, processesWith, treeOf } from "./processes.js";

/** An event that the job printed. */
export interface Event {
  readonly event: string;
  readonly [key: string]: unknown;
}

export interface JobProcessOptions {
  /** Counts the supervisors of a run from 1. */
  readonly life: number;
  readonly ledger: Ledger;
  /** Command and arguments. */
  readonly command: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** The job's folder for temporary files. */
  readonly temporary: string;
  /** Process ids of other supervisors that live, whose temporary files are theirs. */
  readonly others: () => readonly number[];
  readonly onEvent: (event: Event) => void;
  readonly onNoise: (line: string) => void;
}

/** Characters of an event's text that the ledger keeps. */
const keptLength = 400;

/** One supervisor with its workers, from its start to its exit; the ledger has both, and what is left after a drain. */
export class JobProcess {
  readonly #child: ChildProcess;
  /** Resolves to the exit code once everything it printed was read; null when a signal ended it. */
  readonly exited: Promise<number | null>;

  constructor(readonly options: JobProcessOptions) {
    const { command, environment, cwd, ledger, life } = options;
    const [program = "", ...args] = command;
    const env = { ...environment, FAULT_LIFE: `${process.pid}-${life}` };
    this.#child = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    ledger.append({ source: "process", kind: "start", life, pid: this.pid });
    this.#child.once("exit", (code, signal) => {
      ledger.append({ source: "process", kind: "exit", life, code, signal });
    });
    this.exited = new Promise((resolve) => this.#child.once("close", resolve));
    const { stdout, stderr } = this.#child;
    if (stdout !== null) createInterface({ input: stdout }).on("line", this.#hear);
    if (stderr !== null) createInterface({ input: stderr }).on("line", options.onNoise);
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error("the job could not be started");
    return this.#child.pid;
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Whether SIGKILL ended it. */
  get killed(): boolean {
    return this.#child.signalCode === "SIGKILL";
  }

  /** Process ids of the workers that live now. */
  workers(): number[] {
    return this.alive ? childrenOf(this.pid) : [];
  }

  /** Sends a signal to the supervisor, its workers, or both, and notes it before. `only`: to this one worker. */
  signal(
    signal: NodeJS.Signals,
    who: "supervisor" | "worker" | "tree" = "supervisor",
    at: { readonly point?: string; readonly element?: string } = {},
    only?: number,
  ): void {
    const { ledger, life } = this.options;
    if (!this.alive) return;
    const all = { supervisor: () => [this.pid], worker: () => this.workers(), tree: () => treeOf(this.pid) }[who]();
    for (const pid of only === undefined ? all : [only]) {
      ledger.append({ source: "process", kind: "signal", life, pid, signal, who, ...at });
      send(pid, signal);
    }
  }

  /** Tells it to stop, and notes what it leaves. Resolves to its exit code. */
  async drain(signal: "SIGTERM" | "SIGINT" = "SIGTERM"): Promise<number | null> {
    if (!this.alive) return this.exited;
    const before = treeOf(this.pid);
    const ports = portsOf(before);
    this.signal(signal);
    const code = await this.exited;
    const { ledger, life, temporary, others } = this.options;
    const children = new Set([...before, ...processesWith(`FAULT_LIFE=${process.pid}-${life}`)].filter(isRunning));
    const open = new Set(listeningPorts().values());
    const foreign = (name: string) => others().some((pid) => name.startsWith(`klio-run-${pid}-`));
    ledger.append({
      source: "process",
      kind: "left",
      life,
      children: [...children],
      ports: ports.filter((port) => open.has(port)),
      temporary: readdirSync(temporary).filter((name) => !foreign(name)),
    });
    return code;
  }

  /** Ends all of it, whatever it does. */
  async end(): Promise<void> {
    const { life } = this.options;
    for (const pid of [this.pid, ...processesWith(`FAULT_LIFE=${process.pid}-${life}`)]) send(pid, "SIGKILL");
    await this.exited;
  }

  readonly #hear = (line: string): void => {
    const event = JSON.parse(line) as Event;
    const { ledger, life, onEvent } = this.options;
    const kept = Object.entries(event).map(([key, value]) => {
      return [key, typeof value === "string" ? value.slice(0, keptLength) : value] as const;
    });
    ledger.append({ ...Object.fromEntries(kept), event: event.event, source: "job", life });
    onEvent(event);
  };
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    return; // it was faster
  }
}
