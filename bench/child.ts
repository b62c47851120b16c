import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";

/** Events of klio-runtime that do not belong into a benchmark. */
const troubles = [
  '"event":"fatal"',
  '"event":"retry"',
  '"event":"trouble"',
  '"outcome":"dead-letter"',
  '"outcome":"given-back"',
];
const living = new Set<Child>();
process.once("exit", () => {
  for (const child of living) child.kill();
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(130));

/** A program of this folder, as scripts/bench.mjs compiles it. */
export function program(name: string): string {
  return join(process.cwd(), `node_modules/.cache/klio/bench/${name}.mjs`);
}

export interface ChildOptions {
  readonly command?: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly ipc?: boolean;
}

/**
 * A program under measurement, in a process group of its own. It ends with this process: killed when that can, else because its
 * standard input ends.
 */
export class Child {
  readonly process: ChildProcess;
  readonly ended: Promise<void>;

  constructor({ command = process.execPath, args, env = {}, ipc = false }: ChildOptions) {
    // Set, it adds 50 ms to every start of Node 20.
    const { NODE_EXTRA_CA_CERTS: _, ...inherited } = process.env;
    this.process = spawn(command, args, {
      stdio: ["pipe", "pipe", "inherit", ...(ipc ? (["ipc"] as const) : [])],
      detached: true,
      env: { ...inherited, METADATA_SERVER_DETECTION: "none", ...env },
    });
    this.process.stdout?.on("data", (chunk: Buffer) => {
      if (troubles.some((event) => chunk.includes(event))) process.stderr.write(chunk);
    });
    this.process.stdin?.on("error", () => undefined);
    living.add(this);
    this.ended = new Promise((resolve, reject) => {
      this.process.once("close", () => {
        living.delete(this);
        resolve();
      });
      this.process.once("error", reject);
    });
    this.ended.catch(() => undefined); // whoever waits for it to be ready is told
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  /** Resolves when it has printed the text, and goes on reading what it prints. Rejects when it ends before. */
  async printed(text: string): Promise<void> {
    let seen = "";
    let found = false;
    const there = new Promise<void>((resolve) => {
      this.process.stdout?.on("data", (chunk: Buffer) => {
        if (found) return;
        seen += chunk.toString();
        found = seen.includes(text);
        if (found) resolve();
      });
    });
    const before = this.ended.then(() => {
      throw new Error(`${this.process.spawnargs.join(" ")} ended before it printed ${text}:\n${seen}`);
    });
    await Promise.race([there, before]);
  }

  /** Ends it and its group. Workers of klio, in groups of their own, end with their supervisor. */
  async end(): Promise<void> {
    this.kill();
    await this.ended;
  }

  kill(): void {
    try {
      if (this.process.pid !== undefined) process.kill(-this.process.pid, "SIGKILL");
    } catch {
      // gone already
    }
  }
}
