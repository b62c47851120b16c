import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Ajv } from "ajv";
import { root } from "./rig.js";

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A user of klio: a HOME of their own, no credentials, and every process they started known by that HOME. */
export class User {
  private constructor(
    readonly home: string,
    readonly environment: NodeJS.ProcessEnv,
  ) {}

  static async create(): Promise<User> {
    const home = await mkdtemp(join(tmpdir(), "klio-user-"));
    const keep = ["PATH", "LANG", "CI", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"];
    const base = Object.fromEntries(Object.entries(process.env).filter(([key]) => keep.includes(key)));
    const { mkdirSync } = await import("node:fs");
    mkdirSync(join(home, "tmp"));
    return new User(home, {
      ...base,
      HOME: home,
      TMPDIR: join(home, "tmp"),
      npm_config_cache: join(home, ".npm"),
      TERM: "dumb",
    });
  }

  start(args: readonly string[], cwd: string, more: NodeJS.ProcessEnv = {}): Running {
    return new Running(
      spawn(process.execPath, [join(root, "bin/run.js"), ...args], {
        cwd,
        env: { ...this.environment, ...more },
        stdio: ["ignore", "pipe", "pipe"],
      }),
    );
  }

  async klio(args: readonly string[], cwd: string = this.home, more: NodeJS.ProcessEnv = {}): Promise<Finished> {
    return this.start(args, cwd, more).finished;
  }

  /** Makes a job and returns its directory. */
  async job(name: string, ...args: readonly string[]): Promise<string> {
    const directory = join(this.home, name);
    const flags = [
      "--job-name",
      name,
      "--gcp-project",
      "test-project",
      "--use-defaults",
      "--no-install",
      "--output",
      directory,
    ];
    const made = await this.klio(["job", "create", ...flags, ...args]);
    if (made.code !== 0) throw new Error(made.stderr);
    return directory;
  }

  /** Living processes of this user, by command line. Zombies do not count. */
  processes(): string[] {
    return readdirSync("/proc")
      .filter((pid) => /^\d+$/.test(pid))
      .flatMap((pid) => {
        try {
          const state = /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
          const mine = readFileSync(`/proc/${pid}/environ`, "utf8").includes(`HOME=${this.home}`);
          const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
          return mine && state !== "Z" ? [`${pid} ${command}`] : [];
        } catch {
          return []; // it has just ended, or is not ours to look at
        }
      });
  }

  /** Waits until no process of this user is left; returns those that stay. */
  async processesLeft(ms = 20_000): Promise<string[]> {
    const end = Date.now() + ms;
    while (this.processes().length > 0 && Date.now() < end) await sleep(50);
    return this.processes();
  }

  /** What lies in the temporary folder, and control sockets of sessions. */
  leftovers(): string[] {
    const sessions = join(this.home, ".local/state/klio/sessions");
    const sockets = existsSync(sessions)
      ? readdirSync(sessions, { recursive: true })
          .map(String)
          .filter((f) => f.includes("control."))
      : [];
    return [...readdirSync(join(this.home, "tmp")), ...sockets];
  }

  async remove(): Promise<void> {
    for (const line of this.processes()) {
      try {
        process.kill(Number(line.split(" ")[0]), "SIGKILL");
      } catch {
        // gone meanwhile
      }
    }
    await sleep(200);
    await rm(this.home, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A line of `--json`. */
export interface Event {
  readonly event: string;
  readonly [key: string]: unknown;
}

const ajv = new Ajv({ strict: false, allErrors: true });
const [runtimeEvents, ownEvents] = ["runtime-events", "job-run-events"].map((name) =>
  ajv.compile(JSON.parse(readFileSync(join(root, `spec/${name}.schema.json`), "utf8")) as object),
);

/** Events that are of neither published schema. */
export function illegalEvents(events: readonly Event[]): string[] {
  return events
    .filter((e) => !runtimeEvents?.(e) && !ownEvents?.(e))
    .map((e) =>
      JSON.stringify({ e, errors: (("time" in e ? runtimeEvents : ownEvents)?.errors ?? []).map((x) => x.message) }),
    );
}

/** A klio command that runs. */
export class Running {
  stdout = "";
  stderr = "";
  readonly finished: Promise<Finished>;

  constructor(readonly child: ChildProcess) {
    child.stdout?.on("data", (chunk: Buffer) => (this.stdout += chunk.toString()));
    child.stderr?.on("data", (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.finished = new Promise((resolve) => {
      child.once("close", (code) => {
        resolve({ code, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  async until(text: string | RegExp, ms = 30_000): Promise<void> {
    const end = Date.now() + ms;
    const there = () => {
      const all = this.stdout + this.stderr;
      return typeof text === "string" ? all.includes(text) : text.test(all);
    };
    while (!there()) {
      if (Date.now() > end || this.child.exitCode !== null) {
        throw new Error(`waited in vain for ${String(text)}:\n${this.stdout}${this.stderr}`);
      }
      await sleep(20);
    }
  }

  /** What `--json` printed so far. */
  events(): Event[] {
    return this.stdout
      .split("\n")
      .slice(0, -1)
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as Event);
  }

  /** Waits for an event that has these values, and returns the first that does. */
  async untilEvent(values: Readonly<Record<string, unknown>>, ms = 30_000): Promise<Event> {
    const end = Date.now() + ms;
    for (;;) {
      const found = this.events().find((e) => Object.entries(values).every(([key, value]) => e[key] === value));
      if (found !== undefined) return found;
      if (Date.now() > end || this.child.exitCode !== null) {
        throw new Error(`waited in vain for ${JSON.stringify(values)}:\n${this.stdout.slice(-5_000)}${this.stderr}`);
      }
      await sleep(20);
    }
  }

  async stop(signal: NodeJS.Signals = "SIGINT"): Promise<Finished> {
    this.child.kill(signal);
    return this.finished;
  }
}
