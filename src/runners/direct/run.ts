import { createInterface } from "node:readline";
import { execa } from "execa";
import type { SessionAddresses } from "../../session/index.js";

/** One line that klio-runtime printed: an event (spec/runtime-events.schema.json). */
export interface RunEvent {
  readonly event: string;
  readonly [key: string]: unknown;
}

/** How the runtime ended. */
export interface RunEnd {
  readonly code: number;
  /** What to tell when it ended otherwise than by itself. */
  readonly abnormal: string | undefined;
}

export interface DirectRun {
  /** Resolves once the runtime is gone. */
  readonly exited: Promise<RunEnd>;
  readonly pid: number | undefined;
  /** Takes another build of the same job into service; events tell how that went. */
  reload(buildDirectory: string): void;
  /** Asks it to drain; a second call ends the grace period. */
  stop(): void;
}

export interface DirectRunOptions {
  /** The module of klio-runtime. */
  readonly runtime: string;
  /** The built job. */
  readonly buildDirectory: string;
  /** The job's own directory, by which it resolves relative paths. */
  readonly jobDirectory: string;
  /** Absent for a job that needs no emulators. */
  readonly addresses: SessionAddresses | undefined;
  /** Other builds are to be expected. */
  readonly watched: boolean;
  /** The exit code when it is stopped before it could do anything. */
  readonly stoppedCode: number;
  /** Of batch jobs. */
  readonly flags: readonly string[];
  readonly onEvent: (event: RunEvent) => void;
  /** A line that is no event, e.g. a crash of the runtime itself. */
  readonly onNoise: (line: string) => void;
}

/**
 * Runs a built job on this machine with klio-runtime as a child process. It gets no credentials, only the addresses of the
 * emulators, and stops by itself when this process is gone.
 */
export function runDirect(options: DirectRunOptions): DirectRun {
  const { addresses } = options;
  const child = execa(process.execPath, [options.runtime, "run", options.buildDirectory, ...options.flags], {
    cwd: options.jobDirectory,
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
    buffer: false,
    reject: false,
    cleanup: false,
    // The grace period is the job's to keep.
    forceKillAfterDelay: false,
    // Its own process group: Ctrl-C reaches it through stop() alone, so that the second one means what it says.
    detached: true,
    env: {
      // Without emulators there is nothing to reach: a port that nobody listens on keeps it from the cloud.
      PUBSUB_EMULATOR_HOST: addresses?.pubsub ?? "127.0.0.1:9",
      STORAGE_EMULATOR_HOST: addresses?.storage ?? "http://127.0.0.1:9",
      KLIO_LIFELINE: "stdin",
      KLIO_WATCH: options.watched ? "1" : undefined,
      KLIO_OWNS_BUILD: "1",
      METADATA_SERVER_DETECTION: "none",
      GOOGLE_APPLICATION_CREDENTIALS: undefined,
    },
  });
  createInterface({ input: child.stdout, crlfDelay: Infinity }).on("line", (line) => {
    const event = parseEvent(line);
    if (event === undefined) options.onNoise(line);
    else options.onEvent(event);
  });
  createInterface({ input: child.stderr, crlfDelay: Infinity }).on("line", options.onNoise);
  child.stdin.on("error", () => undefined);
  let stopping = false;
  return {
    exited: child.then(({ exitCode, signal, originalMessage }) => {
      if (exitCode !== undefined) return { code: exitCode, abnormal: undefined };
      // Told to stop before it could listen: there was nothing in hand.
      if (stopping && signal === "SIGTERM") return { code: options.stoppedCode, abnormal: undefined };
      const how = signal === undefined ? `could not run: ${originalMessage}` : `was ended by ${signal}`;
      return { code: 1, abnormal: `the job's process ${how}` };
    }),
    pid: child.pid,
    reload: (buildDirectory) => {
      child.stdin.write(`${JSON.stringify({ command: "reload", directory: buildDirectory })}\n`);
    },
    stop: () => {
      stopping = true;
      child.kill("SIGTERM");
    },
  };
}

function parseEvent(line: string): RunEvent | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && "event" in value ? (value as RunEvent) : undefined;
  } catch {
    return undefined;
  }
}
