import type { ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { PassThrough, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { execa, type ExecaError, type Options } from "execa";
import { ExecError, type ExecOptions, type ExecResult } from "../api/exec.js";
import { endProcesses } from "../processes.js";

const defaultMaxBytes = 64 * 1024 * 1024;
/** Of what a program writes to standard error, what an error's message shows at most, in characters. */
const shownOfStderr = 2_000;

/** Runs a program to its end. Throws an {@link ExecError}, or the signal's reason. */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: ExecOptions,
  signal: AbortSignal,
): Promise<ExecResult> {
  const { maxBytes = defaultMaxBytes } = options;
  const started = start(command, args, options, signal, { maxBuffer: maxBytes });
  const { stdout, stderr } = await started;
  return { stdout, stderr: Buffer.from(stderr).toString() };
}

/**
 * Runs a program and gives its standard output as a stream, which ends with an {@link ExecError} when it fails. `ended` is when the
 * program has.
 */
export function streamProgram(
  command: string,
  args: readonly string[],
  options: Omit<ExecOptions, "maxBytes">,
  signal: AbortSignal,
): { readonly output: Readable; readonly ended: Promise<unknown> } {
  const output = new PassThrough();
  output.on("error", () => undefined); // whoever reads it is told; nobody reading is no reason to end the worker
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  const program = start(command, args, options, both, { buffer: { stdout: false }, maxBuffer: defaultMaxBytes });
  output.once("close", () => {
    stop.abort(new Error(`nobody reads what ${command} puts out any more`));
  });
  const piped = pipeline(program.stdout, output, { end: false });
  Promise.all([program, piped]).then(
    () => output.end(),
    // An abort also breaks the pipe, which may be noticed first.
    (error: unknown) => output.destroy(both.aborted ? (both.reason as Error) : asError(error)),
  );
  return { output, ended: program };
}

interface Started extends Promise<{ readonly stdout: Uint8Array; readonly stderr: Uint8Array }> {
  readonly stdout: Readable;
}

function start(
  command: string,
  args: readonly string[],
  { input, cwd, env }: ExecOptions,
  signal: AbortSignal,
  more: Options,
): Started {
  signal.throwIfAborted();
  const called = new Error(); // what fails later has no frame of the caller's any more
  const id = randomUUID();
  const child = execa(command, args, {
    encoding: "buffer",
    stripFinalNewline: false,
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...env, [programVariable]: id },
    ...inputOf(input),
    ...more,
  });
  // With everything it started, which would live on and hold its files.
  const kill = () => {
    if (child.pid !== undefined) endProcesses(hasEnded(child) ? undefined : child.pid, `${programVariable}=${id}`);
  };
  const done = child.then(
    ({ stdout, stderr }) => ({ stdout: stdout as Uint8Array, stderr: stderr as Uint8Array }),
    (error: unknown) => {
      kill();
      throw signal.aborted ? (signal.reason as Error) : asExecError(command, args, error, called);
    },
  );
  const over = untilEnded(child, done, kill, signal);
  over.catch(() => undefined); // whoever waits is told
  return Object.assign(over, { stdout: child.stdout as Readable });
}

/** Processes inherit it: so they are found also when whoever started them is gone. */
const programVariable = "KLIO_PROGRAM";
/** How long a program that was killed may take to be gone, in milliseconds: one may hang in the kernel. */
const goneMs = 2_000;

/** As `done`, but ends the program when `signal` aborts, and then soon ends itself. */
async function untilEnded<T>(child: ChildProcess, done: Promise<T>, kill: () => void, signal: AbortSignal): Promise<T> {
  let giveUp: () => void = () => undefined;
  const givenUp = new Promise<never>((_, reject) => {
    giveUp = () => {
      reject(signal.reason as Error);
    };
  });
  // Somebody whom `kill` has not found may hold the other ends, and would be waited for.
  const letGo = () => {
    for (const stream of child.stdio) stream?.destroy();
  };
  let timer: NodeJS.Timeout | undefined;
  const abort = () => {
    kill();
    if (hasEnded(child)) letGo();
    else child.once("exit", letGo);
    timer = setTimeout(giveUp, goneMs);
  };
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([done, givenUp]);
  } finally {
    signal.removeEventListener("abort", abort);
    clearTimeout(timer);
  }
}

/** Then its id may be another process's. */
function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function inputOf(input: ExecOptions["input"]): Options {
  if (input === undefined) return { stdin: "ignore" };
  if (typeof input === "string" || input instanceof Uint8Array) return { input };
  return { input: Readable.from(input, { objectMode: false }) };
}

/** `called` has the stack of whoever ran the program. */
function asExecError(command: string, args: readonly string[], error: unknown, called: Error): Error {
  if (!isExecaError(error)) return asError(error);
  const stderr = error.stderr instanceof Uint8Array ? Buffer.from(error.stderr).toString() : "";
  const what = [command, ...args].join(" ").slice(0, 500);
  const how = error.isMaxBuffer
    ? "put out more than maxBytes"
    : error.exitCode === undefined
      ? error.signal === undefined
        ? `could not be started: ${error.originalMessage}`
        : `was ended by ${error.signal}`
      : `failed with exit code ${error.exitCode}`;
  const tail = stderr.trimEnd().slice(-shownOfStderr);
  const text = `${what} ${how}${tail === "" ? "" : `\n${tail}`}`;
  const failed = new ExecError(text, error.exitCode, stderr, { cause: error });
  failed.stack = `${String(failed)}${called.stack?.slice("Error".length) ?? ""}`;
  return failed;
}

function isExecaError(error: unknown): error is ExecaError {
  return error instanceof Error && "shortMessage" in error;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
