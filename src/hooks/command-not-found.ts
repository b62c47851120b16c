import type { Hook } from "@oclif/core";
import { nearest } from "@klio/config";

/** `klio jbo run`: says which command was probably meant. */
const hook: Hook<"command_not_found"> = function ({ id, config }) {
  const asked = id.replaceAll(":", " ");
  const known = config.commandIDs.map((c) => c.replaceAll(":", " "));
  const meant = nearest(asked, known);
  const hint = meant === undefined ? "See what there is: klio --help" : `Did you mean: klio ${meant}`;
  process.stderr.write(`✘ there is no command "klio ${asked}"\n→ ${hint}\n`);
  process.exit(2);
};

export default hook;
