import { PassThrough, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { execa, type ExecaError, type Options } from "execa";
import { ExecError, type ExecOptions, type ExecResult } from "../api/exec.js";
import { killTree } from "../processes.js";

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

/** Runs a program and gives its standard output as a stream, which ends with an {@link ExecError} when it fails. */
export function streamProgram(
  command: string,
  args: readonly string[],
  options: Omit<ExecOptions, "maxBytes">,
  signal: AbortSignal,
): Readable {
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
    (error: unknown) => output.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  return output;
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
  const child = execa(command, args, {
    encoding: "buffer",
    stripFinalNewline: false,
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env }),
    ...inputOf(input),
    ...more,
  });
  // With everything it started: a program's children would live on, and hold its files.
  const kill = () => {
    if (child.pid !== undefined) killTree(child.pid);
  };
  signal.addEventListener("abort", kill, { once: true });
  const done = child.then(
    ({ stdout, stderr }) => ({ stdout: stdout as Uint8Array, stderr: stderr as Uint8Array }),
    (error: unknown) => {
      kill();
      throw signal.aborted ? (signal.reason as Error) : asExecError(command, args, error, called);
    },
  );
  const over = done.finally(() => {
    signal.removeEventListener("abort", kill);
  });
  over.catch(() => undefined); // whoever waits is told
  return Object.assign(over, { stdout: child.stdout as Readable });
}

function inputOf(input: ExecOptions["input"]): Options {
  if (input === undefined) return { stdin: "ignore" };
  if (typeof input === "string" || input instanceof Uint8Array) return { input };
  return { input: Readable.from(input, { objectMode: false }) };
}

/** `called` has the stack of whoever ran the program. */
function asExecError(command: string, args: readonly string[], error: unknown, called: Error): Error {
  if (!isExecaError(error)) return error instanceof Error ? error : new Error(String(error));
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
