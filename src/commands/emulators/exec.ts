import { tmpdir } from "node:os";
import { Args } from "@oclif/core";
import { environmentOf, faultsFrom, projectFrom, runInside } from "../../emulators/index.js";
import { KlioError } from "../../errors.js";
import { loadSeed, plant } from "../../seeds/index.js";
import { startPrivate } from "../../session/index.js";
import { projectFlag, startFlags } from "../../ui/emulator-flags.js";
import { KlioCommand, paragraphs } from "../../ui/klio-command.js";

export default class EmulatorsExec extends KlioCommand {
  static override summary = "Run a command with emulators of its own, e.g. tests in CI.";
  static override description =
    paragraphs(`Starts Pub/Sub and Cloud Storage on free ports, in memory and in a temporary folder, sets PUBSUB_EMULATOR_HOST, STORAGE_EMULATOR_HOST
and GOOGLE_CLOUD_PROJECT for the command, runs it, stops them, and ends with its exit code. Nothing is left behind.`);
  static override examples = [
    "<%= config.bin %> emulators exec -- npm test",
    "<%= config.bin %> emulators exec --seed-file seed.yaml -- pytest -q",
    "<%= config.bin %> emulators exec --fault duplicate=0.2 --fault-seed 7 -- npm test",
  ];
  static override strict = false;
  static override args = {
    command: Args.string({ required: true, description: "the command, after --; its arguments follow" }),
  };
  static override flags = { ...projectFlag, ...startFlags };

  async run() {
    const { flags, argv } = await this.parse(EmulatorsExec);
    // Behind --, everything is the command's, a second -- as well.
    const dashes = this.argv.indexOf("--");
    const [file, ...args] = dashes < 0 ? argv.map(String) : this.argv.slice(dashes + 1);
    if (dashes >= 0 && argv.length > this.argv.length - dashes - 1) {
      throw new KlioError("EXEC_START", "there is something of the command before --", {
        hint: "All of it goes behind: klio emulators exec -- npm test -- --watch",
      });
    }
    if (file === undefined) throw new KlioError("EXEC_START", "there is no command to run");
    const project = projectFrom(flags.project, process.cwd(), process.env);
    const seed = flags["seed-file"] === undefined ? undefined : loadSeed(flags["seed-file"], process.cwd());
    const faults = faultsFrom(flags);
    if (faults.seed !== undefined) this.tell(`the same faults again: --fault-seed ${faults.seed}`);
    const emulators = await startPrivate(flags.bind, tmpdir(), faults);
    try {
      if (seed !== undefined) await plant(seed, project, emulators);
      const { exitCode } = await runInside(
        [file, ...args],
        environmentOf(emulators, project),
        this.jsonEnabled() ? process.stderr : "inherit", // stdout is for the result then
      );
      process.exitCode = exitCode;
      return { project, exitCode };
    } finally {
      await emulators.close();
    }
  }
}
