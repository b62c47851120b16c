import { rm } from "node:fs/promises";
import { Flags } from "@oclif/core";
import { projectFrom } from "../../emulators/index.js";
import { KlioError } from "../../errors.js";
import { findSession, forgetKept, pubsubDirectory } from "../../session/index.js";
import { projectFlag } from "../../ui/emulator-flags.js";
import { KlioCommand, paragraphs } from "../../ui/klio-command.js";

export default class EmulatorsStop extends KlioCommand {
  static override summary = "Stop the emulators of a project.";
  static override description = paragraphs(
    "What they have stored stays, and is there again at the next start. It is no error when they do not run.",
  );
  static override examples = [
    "<%= config.bin %> emulators stop",
    "<%= config.bin %> emulators stop --force --reset-pubsub",
  ];
  static override flags = {
    ...projectFlag,
    force: Flags.boolean({ char: "f", description: "although jobs run with them, which then start them anew" }),
    "reset-pubsub": Flags.boolean({ description: "delete all topics, subscriptions and messages; objects stay" }),
  };

  async run() {
    const { flags } = await this.parse(EmulatorsStop);
    const project = projectFrom(flags.project, process.cwd(), process.env);
    const key = this.sessionKey(project);
    const session = await findSession(key);
    if (session === undefined) forgetKept(key); // one that runs forgets it itself
    if (session !== undefined) {
      if (session.jobs.length > 0 && !flags.force) {
        session.leave();
        throw new KlioError(
          "EMULATORS_USED",
          `${session.jobs.join(", ")} runs with the emulators of project ${project}`,
          {
            hint: "End it first (Ctrl-C), or add --force.",
          },
        );
      }
      await session.stop(flags["reset-pubsub"]);
    } else if (flags["reset-pubsub"]) {
      await rm(pubsubDirectory(key), { recursive: true, force: true });
    }
    this.tell(session === undefined ? `not running (project ${project})` : `stopped (project ${project})`);
    if (flags["reset-pubsub"]) this.tell("deleted all topics, subscriptions and messages");
    for (const job of session?.jobs ?? []) this.tell(`! ${job} goes on, and starts them again: end it with Ctrl-C`);
    return { project, stopped: session !== undefined, reset: flags["reset-pubsub"] };
  }
}
