import { Flags } from "@oclif/core";
import { environmentOf, exportLines, projectFrom, shellOf, shells } from "../../emulators/index.js";
import { KlioError } from "../../errors.js";
import { findSession } from "../../session/index.js";
import { projectFlag } from "../../ui/emulator-flags.js";
import { KlioCommand, paragraphs } from "../../ui/klio-command.js";

export default class EmulatorsEnv extends KlioCommand {
  static override summary = "Print what other programs need to find the emulators.";
  static override description = paragraphs(
    "Official clients of all languages look for PUBSUB_EMULATOR_HOST and STORAGE_EMULATOR_HOST. The lines are for the shell to evaluate.",
  );
  static override examples = [
    'eval "$(<%= config.bin %> emulators env)"',
    "<%= config.bin %> emulators env --shell fish | source",
    "<%= config.bin %> emulators env --shell powershell | Invoke-Expression",
    'eval "$(<%= config.bin %> emulators env --unset)"',
  ];
  static override flags = {
    ...projectFlag,
    shell: Flags.string({ description: "for this shell (default: yours, by $SHELL)", options: [...shells] }),
    unset: Flags.boolean({ description: "print what takes the variables away again" }),
  };

  async run() {
    const { flags } = await this.parse(EmulatorsEnv);
    const project = projectFrom(flags.project, process.cwd(), process.env);
    const shell = shells.find((s) => s === flags.shell) ?? shellOf(process.env["SHELL"], process.platform);
    const session = flags.unset ? undefined : await findSession(this.sessionKey(project));
    session?.leave();
    if (session === undefined && !flags.unset) {
      throw new KlioError("EMULATORS_STOPPED", `the emulators of project ${project} do not run`, {
        hint: `Start them: klio emulators start --project ${project}`,
      });
    }
    const environment = environmentOf(session ?? { pubsub: "", storage: "" }, project);
    for (const line of exportLines(environment, shell, flags.unset)) this.log(line);
    return { project, environment: flags.unset ? {} : environment };
  }
}
