import { Socket } from "node:net";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { describeGraph, JobError, layOut } from "../engine/graph.js";
import { runtimeVersion } from "../version.js";
import { loadJob, readEffective } from "../worker/load-job.js";
import { exitCodes, runJob } from "./run.js";

const usage = `klio-runtime ${runtimeVersion}

  klio-runtime run [DIRECTORY]      run a built job (default: .klio/build)
  klio-runtime graph [DIRECTORY]    print the job's graph as JSON
  klio-runtime --version

  --host ADDRESS         where /healthz, /readyz, /metrics and /in-flight are served (default: 127.0.0.1)
  --port NUMBER          (default: one that is free, which the event "listening" tells)

Of batch jobs:
  --state DIRECTORY      where an interrupted run leaves what it goes on with (default: .klio/batch)
  --fresh                begin with the first element, although an interrupted run could go on
  --allow-dead-letters   exit 0 although elements became dead letters

Environment: PUBSUB_EMULATOR_HOST, STORAGE_EMULATOR_HOST. Events go to stdout, one JSON object a line.
SIGUSR2: tell what is in hand (event "in-flight"). SIGTERM or SIGINT: finish what is in hand and exit; a second one: give it back at once.
Exit codes: 0 stopped in order, or done with every element; 1 the job cannot run; 2 wrong usage; 3 done, with dead letters;
4 a batch job was stopped before its end: run it again.
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      version: { type: "boolean" },
      help: { type: "boolean", short: "h" },
      json: { type: "boolean" },
      host: { type: "string", default: "127.0.0.1" },
      port: { type: "string", default: "0" },
      state: { type: "string", default: ".klio/batch" },
      fresh: { type: "boolean", default: false },
      "allow-dead-letters": { type: "boolean", default: false },
    },
  });
  if (values.version === true) {
    process.stdout.write(`${runtimeVersion}\n`);
    return exitCodes.done;
  }
  const [command = "run", given = ".klio/build"] = positionals;
  if (values.help === true || positionals.length > 2) {
    process.stdout.write(usage);
    return values.help === true ? exitCodes.done : exitCodes.usage;
  }
  const directory = resolve(given);
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    process.stderr.write(`--port is a number from 0 to 65535, not ${JSON.stringify(values.port)}\n`);
    return exitCodes.usage;
  }
  if (command === "graph") return printGraph(directory);
  if (command === "run") {
    return runJob({
      directory,
      config: await readEffective(directory),
      state: resolve(values.state),
      fresh: values.fresh,
      allowDeadLetters: values["allow-dead-letters"],
      attended: process.env["KLIO_LIFELINE"] === "stdin",
      watched: process.env["KLIO_WATCH"] === "1",
      ownsBuild: process.env["KLIO_OWNS_BUILD"] === "1",
      http: { host: values.host, port },
    });
  }
  process.stderr.write(`unknown command "${command}"\n\n${usage}`);
  return exitCodes.usage;
}

async function printGraph(jobDir: string): Promise<number> {
  const graph = await layOut(await loadJob(jobDir), await readEffective(jobDir));
  process.stdout.write(`${JSON.stringify(describeGraph(graph), null, 2)}\n`);
  return exitCodes.done;
}

/** https://nodejs.org/api/errors.html: ERR_PARSE_ARGS_… */
function isUsage(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" && code.startsWith("ERR_PARSE_ARGS");
}

// Whoever read the events may be gone before the job is: it still stops in order.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
process.env["METADATA_SERVER_DETECTION"] ??= process.env["PUBSUB_EMULATOR_HOST"] === undefined ? "" : "none";
/** How long a reader may take nothing of what is left before it is not waited for any longer, in milliseconds. */
const standstillMs = 2_000;

/** The last events are written at the end of this turn, and to a pipe in the background: they must not be cut off. */
function exitOnceWritten(code: number): void {
  const exit = () => process.exit(code);
  setImmediate(() => process.stdout.write("", exit));
  // Of a pipe it tells how long nothing was taken; of a file there is nothing to wait for.
  if (process.stdout instanceof Socket) process.stdout.setTimeout(standstillMs, exit);
}

main().then(exitOnceWritten, (error: unknown) => {
  const known = error instanceof JobError || isUsage(error);
  const text = error instanceof Error ? (known ? error.message : (error.stack ?? error.message)) : String(error);
  process.stderr.write(`${text}\n`);
  process.exit(isUsage(error) ? exitCodes.usage : exitCodes.failed);
});
