import { constants } from "node:os";
import { execa } from "execa";
import { KlioError } from "../errors.js";

export interface Ran {
  /** As a shell has it: of a command that a signal ended, 128 and the signal's number. */
  readonly exitCode: number;
}

/** Signals that are passed on; of those from a terminal the command gets its own. */
const passedOn = ["SIGTERM", "SIGHUP"] as const;

/** Runs a command to its end with variables of its own, on this process's terminal. Throws a KlioError when it cannot start. */
export async function runInside(
  command: readonly [string, ...string[]],
  environment: Readonly<Record<string, string>>,
): Promise<Ran> {
  const [file, ...args] = command;
  const child = execa(file, args, { stdio: "inherit", env: environment, reject: false, forceKillAfterDelay: false });
  const pass = (signal: NodeJS.Signals) => {
    child.kill(signal);
  };
  const wait = () => undefined; // Ctrl-C ends the command, which then ends this
  for (const signal of passedOn) process.on(signal, pass);
  process.on("SIGINT", wait);
  try {
    const result = await child;
    if (result.exitCode !== undefined) return { exitCode: result.exitCode };
    if (result.signal !== undefined) return { exitCode: 128 + constants.signals[result.signal] };
    throw new KlioError("EXEC_START", `${file} cannot be started: ${result.originalMessage ?? result.shortMessage}`, {
      hint: "Is it installed, and on the PATH? A command of the shell needs one: -- sh -c '…'",
    });
  } finally {
    for (const signal of passedOn) process.off(signal, pass);
    process.off("SIGINT", wait);
  }
}
