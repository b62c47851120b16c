import { isDeepStrictEqual } from "node:util";
import { Flags } from "@oclif/core";
import { environmentOf, exportLines, faultsFrom, projectFrom, shellOf } from "../../emulators/index.js";
import { KlioError } from "../../errors.js";
import { loadSeed, plant } from "../../seeds/index.js";
import {
  defaultOptions,
  findSession,
  forgetKept,
  joinSession,
  type Session,
  type SessionOptions,
} from "../../session/index.js";
import { projectFlag, startFlags } from "../../ui/emulator-flags.js";
import { KlioCommand, paragraphs } from "../../ui/klio-command.js";

/** Flags, and which option of the session each is about. */
const flagsOf = {
  bind: "host",
  "pubsub-port": "pubsubPort",
  "storage-port": "storagePort",
  "in-memory": "inMemory",
  fault: "faults",
  "fault-seed": "faults",
  "fault-delay": "faults",
  "fault-after": "faults",
} as const satisfies Record<string, keyof SessionOptions>;

export default class EmulatorsStart extends KlioCommand {
  static override summary = "Start Pub/Sub and Cloud Storage on this machine.";
  static override description =
    paragraphs(`They run in the background, one of each for a project, until klio emulators stop; klio's commands of the same project use them by themselves.
Messages, topics, subscriptions and objects are still there after a stop, or a kill -9. Other programs find them by klio emulators env.`);
  static override examples = [
    "<%= config.bin %> emulators start",
    "<%= config.bin %> emulators start --bind 172.17.0.1 --seed-file seed.yaml",
    "<%= config.bin %> emulators start --in-memory --fault duplicate=0.1 --fault lose-ack=0.05 --fault-seed 7",
  ];
  static override flags = {
    ...projectFlag,
    ...startFlags,
    "pubsub-port": Flags.integer({
      description: "port of Pub/Sub; when it is taken, a free one is used",
      helpValue: "PORT",
      default: defaultOptions.pubsubPort,
      min: 0,
      max: 65_535,
    }),
    "storage-port": Flags.integer({
      description: "port of Cloud Storage; when it is taken, a free one is used",
      helpValue: "PORT",
      default: defaultOptions.storagePort,
      min: 0,
      max: 65_535,
    }),
    "in-memory": Flags.boolean({ description: "forget messages, topics and subscriptions at the end" }),
  };

  async run() {
    const { flags, metadata } = await this.parse(EmulatorsStart);
    const project = projectFrom(flags.project, process.cwd(), process.env);
    const seed = flags["seed-file"] === undefined ? undefined : loadSeed(flags["seed-file"], process.cwd());
    const options: SessionOptions = {
      host: flags.bind,
      pubsubPort: flags["pubsub-port"],
      storagePort: flags["storage-port"],
      inMemory: flags["in-memory"],
      faults: faultsFrom(flags),
    };
    if (["0.0.0.0", "::"].includes(flags.bind))
      this.tell("! every machine that reaches this one can use the emulators");
    const key = this.sessionKey(project);
    const running = await findSession(key);
    running?.leave();
    if (running === undefined) forgetKept(key); // of one that was killed: what is said now counts
    const session = await joinSession(key, this.assets.sessionEntry, options);
    try {
      const asked = Object.entries(flagsOf)
        .filter(([flag]) => flag in flags && metadata.flags[flag]?.setFromDefault !== true)
        .filter(([, option]) => !isDeepStrictEqual(session.options[option], options[option]));
      if (!session.started && asked.length > 0) {
        throw runsAlready(
          project,
          asked.map(([flag]) => flag),
        );
      }
      const planted = seed === undefined ? [] : await plant(seed, project, session);
      if (!(await session.keep())) throw new KlioError("SESSION_START", "the emulators ended while they were started");
      return this.#show(session, project, planted);
    } finally {
      session.leave();
    }
  }

  #show(session: Session, project: string, planted: Awaited<ReturnType<typeof plant>>) {
    const { pubsub, storage, root, pid, started, moved, options } = session;
    this.tell(`${started ? "started" : "running already"}, for project ${project} (process ${pid})`);
    if (started && moved.length > 0) this.tell(`! taken, so free ports are used: ${moved.join(", ")}`);
    if (started && options.faults.seed !== undefined)
      this.tell(`the same faults again: --fault-seed ${options.faults.seed}`);
    for (const { kind, name, state } of planted)
      this.tell(`  ${kind} ${name}${state === "existed" ? " (was there)" : ""}`);
    const environment = environmentOf({ pubsub, storage }, project);
    this.log(`Pub/Sub        ${pubsub}\nCloud Storage  ${storage}\nobjects in     ${root}`);
    const shell = shellOf(process.env["SHELL"], process.platform);
    const [first = ""] = exportLines(environment, shell);
    this.tell(`For other programs: ${evaluated(shell, project)}  (${first} …)`);
    return { project, started, pid, pubsub, storage, root, environment, planted };
  }
}

function evaluated(shell: string, project: string): string {
  const command = `klio emulators env --project ${project}`;
  if (shell === "fish") return `${command} | source`;
  return shell === "powershell" ? `${command} | Invoke-Expression` : `eval "$(${command})"`;
}

function runsAlready(project: string, asked: readonly string[]): KlioError {
  const flags = asked.map((name) => `--${name}`).join(", ");
  return new KlioError(
    "EMULATORS_RUN",
    `the emulators of project ${project} run already, and not with this: ${flags}`,
    {
      hint: `Stop them first: klio emulators stop --project ${project}`,
    },
  );
}
