import { projectFrom } from "../../emulators/index.js";
import { findSession } from "../../session/index.js";
import { projectFlag } from "../../ui/emulator-flags.js";
import { KlioCommand, paragraphs } from "../../ui/klio-command.js";

export default class EmulatorsStatus extends KlioCommand {
  static override summary = "Say whether the emulators of a project run, and where.";
  static override description = paragraphs("Exit code 0: they run; 1: they do not.");
  static override examples = ["<%= config.bin %> emulators status", "<%= config.bin %> emulators status --json"];
  static override flags = { ...projectFlag };

  async run() {
    const { flags } = await this.parse(EmulatorsStatus);
    const project = projectFrom(flags.project, process.cwd(), process.env);
    const session = await findSession(this.sessionKey(project));
    if (session === undefined) {
      process.exitCode = 1;
      this.log(`not running (project ${project})`);
      return { project, running: false };
    }
    session.leave();
    const { pubsub, storage, root, pid, jobs, kept } = session;
    const until = kept ? "until klio emulators stop" : "until its last job ends";
    this.log(`running for project ${project} (process ${pid}), ${until}`);
    this.log(`Pub/Sub        ${pubsub}\nCloud Storage  ${storage}\nobjects in     ${root}`);
    if (jobs.length > 0) this.log(`jobs           ${jobs.join(", ")}`);
    return { project, running: true, pid, kept, pubsub, storage, root, jobs };
  }
}
