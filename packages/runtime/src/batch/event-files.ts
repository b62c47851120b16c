import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Delivered, DeliverRequest, EventFilesAnswer, Gathered, GatherRequest } from "./records.js";

/** The event files of a batch job are wrong, missing, or cannot be written. */
export class BatchError extends Error {
  override readonly name = "BatchError";

  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** Calls the process that reads and writes event files. `entry` is its module. Throws a {@link BatchError}. */
export function callEventFiles(entry: string, request: GatherRequest, signal: AbortSignal): Promise<Gathered>;
export function callEventFiles(entry: string, request: DeliverRequest): Promise<Delivered>;
export async function callEventFiles(
  entry: string,
  request: GatherRequest | DeliverRequest,
  signal?: AbortSignal,
): Promise<Gathered | Delivered> {
  const child = spawn(process.execPath, [entry, JSON.stringify(request)], {
    // stdin: it ends when this process does
    stdio: ["pipe", "pipe", "inherit"],
    // Not in reach of a terminal's Ctrl-C, which is for this process to deal with.
    detached: true,
    ...(signal === undefined ? {} : { signal }),
  });
  let answer: EventFilesAnswer<Gathered | Delivered> | undefined;
  createInterface({ input: child.stdout, crlfDelay: Infinity }).on("line", (line) => {
    answer = JSON.parse(line) as EventFilesAnswer<Gathered | Delivered>;
  });
  child.stdin.on("error", () => undefined);
  const how = await new Promise<string>((resolve) => {
    child.once("error", (error) => {
      resolve(error.message);
    });
    child.once("close", (code, by) => {
      resolve(by === null ? `exit code ${code}` : `signal ${by}`);
    });
  });
  if (answer === undefined) {
    throw new BatchError(
      "EVENT_FILES",
      `the process that reads and writes event files ended without an answer (${how})`,
    );
  }
  if ("error" in answer) throw new BatchError(answer.error.code, answer.error.message);
  return answer.ok;
}
