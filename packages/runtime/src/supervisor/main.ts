import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { describeGraph, JobError, layOut } from "../engine/graph.js";
import { runtimeVersion } from "../version.js";
import { loadJob, readEffective } from "../worker/load-job.js";
import { emitTo } from "./events.js";
import { connect } from "./pubsub-clients.js";
import { Supervisor } from "./supervisor.js";

const usage = `klio-runtime ${runtimeVersion}

  klio-runtime run [DIRECTORY]      run a built job (default: .klio/build)
  klio-runtime graph [DIRECTORY]    print the job's graph as JSON
  klio-runtime --version

Environment: PUBSUB_EMULATOR_HOST, STORAGE_EMULATOR_HOST. Events go to stdout, one JSON object a line.
SIGTERM or SIGINT: finish what is in hand and exit 0; a second one: give it back at once.
Exit codes: 0 stopped in order, 1 the job cannot run, 2 wrong usage.
`;

/** Worker processes when the configuration does not say: one for each processor, but no crowd. */
const mostDefaultWorkers = 8;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { version: { type: "boolean" }, help: { type: "boolean", short: "h" }, json: { type: "boolean" } },
  });
  if (values.version === true) {
    process.stdout.write(`${runtimeVersion}\n`);
    return 0;
  }
  const [command = "run", directory = ".klio/build"] = positionals;
  if (values.help === true || positionals.length > 2) {
    process.stdout.write(usage);
    return values.help === true ? 0 : 2;
  }
  const jobDir = resolve(directory);
  if (command === "run") return run(jobDir);
  if (command === "graph") return printGraph(jobDir);
  process.stderr.write(`unknown command "${command}"\n\n${usage}`);
  return 2;
}

async function printGraph(jobDir: string): Promise<number> {
  const graph = await layOut(await loadJob(jobDir), await readEffective(jobDir));
  process.stdout.write(`${JSON.stringify(describeGraph(graph), null, 2)}\n`);
  return 0;
}

async function run(jobDir: string): Promise<number> {
  const config = await readEffective(jobDir);
  const clients = connect(process.env["PUBSUB_EMULATOR_HOST"]);
  const temporaryRoot = makeTemporaryRoot();
  const emit = emitTo(process.stdout);
  const { count } = config.job_config.workers;
  let exitCode = 0;
  let drained: Promise<void> | undefined;
  const supervisor = new Supervisor({
    config,
    clients,
    emit,
    workers: count === 0 ? Math.min(availableParallelism(), mostDefaultWorkers) : count,
    dispatcher: {
      entry: join(import.meta.dirname, "worker.js"),
      jobDir,
      configJson: JSON.stringify(config),
      temporaryRoot,
    },
    onFatal: ({ code, message, stack }) => {
      if (exitCode === 0) emit({ event: "fatal", severity: "ERROR", code, message, stack });
      exitCode = 1;
      supervisor.hurry();
      end("the job cannot run");
    },
  });
  let finish: () => void = () => undefined;
  const over = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const end = (reason: string) => {
    if (drained !== undefined) supervisor.hurry();
    drained ??= supervisor.drain(reason).finally(() => {
      finish();
    });
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    process.on(signal, () => {
      end(signal);
    });
  if (process.env["KLIO_LIFELINE"] === "stdin") {
    process.stdin.resume();
    process.stdin.once("close", () => {
      end("the parent process is gone");
    });
  }
  supervisor.start();
  await over;
  await clients.close();
  removeQuietly(temporaryRoot);
  return exitCode;
}

const temporaryPrefix = "klio-run-";

/** Makes a folder for the temporary files of this run, and removes those that killed runs left behind. */
function makeTemporaryRoot(): string {
  for (const name of readdirSync(tmpdir())) {
    const pid = new RegExp(`^${temporaryPrefix}(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) removeQuietly(join(tmpdir(), name));
  }
  return mkdtempSync(join(tmpdir(), `${temporaryPrefix}${process.pid}-`));
}

/** What cannot be removed (it is another user's, say) is left to whoever can. */
function removeQuietly(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true });
  } catch {
    return;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

// Whoever read the events may be gone before the job is: it still stops in order.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
process.env["METADATA_SERVER_DETECTION"] ??= process.env["PUBSUB_EMULATOR_HOST"] === undefined ? "" : "none";
main().then(
  // stdout to a pipe is written in the background; the last events must not be cut off.
  (code) => process.stdout.write("", () => process.exit(code)),
  (error: unknown) => {
    const known = error instanceof JobError || (error instanceof TypeError && "code" in error);
    const text = error instanceof Error ? (known ? error.message : (error.stack ?? error.message)) : String(error);
    process.stderr.write(`${text}\n`);
    process.exit(error instanceof TypeError ? 2 : 1);
  },
);
