import { constants } from "node:os";
import type { Writable } from "node:stream";
import { execa } from "execa";
import { KlioError } from "../errors.js";

export interface Ran {
  /** As a shell has it: of a command that a signal ended, 128 and the signal's number. */
  readonly exitCode: number;
}

/** Signals that are passed on. */
const passedOn = ["SIGTERM", "SIGHUP", "SIGQUIT"] as const;

/**
 * Runs a command to its end with variables of its own, on this process's terminal; `stdout`: where that of the command goes.
 * Throws a KlioError when it cannot start.
 */
export async function runInside(
  command: readonly [string, ...string[]],
  environment: Readonly<Record<string, string>>,
  stdout: "inherit" | Writable,
): Promise<Ran> {
  const [file, ...args] = command;
  const child = execa(file, args, {
    stdio: ["inherit", stdout, "inherit"],
    env: environment,
    reject: false,
    forceKillAfterDelay: false,
  });
  const pass = (signal: NodeJS.Signals) => {
    child.kill(signal);
  };
  // Ctrl-C in a terminal reaches the command too, which then ends this; from elsewhere it has to be passed on.
  const interrupt = process.stdin.isTTY ? () => undefined : pass;
  for (const signal of passedOn) process.on(signal, pass);
  process.on("SIGINT", interrupt);
  try {
    const result = await child;
    if (result.exitCode !== undefined) return { exitCode: result.exitCode };
    if (result.signal !== undefined) return { exitCode: 128 + constants.signals[result.signal] };
    throw new KlioError("EXEC_START", `${file} cannot be started: ${result.originalMessage ?? result.shortMessage}`, {
      exitCode: result.code === "EACCES" ? 126 : 127, // as shells have it
      hint: "Is it installed, and on the PATH? A command of the shell needs one: -- sh -c '…'",
    });
  } finally {
    for (const signal of passedOn) process.off(signal, pass);
    process.off("SIGINT", interrupt);
  }
}
