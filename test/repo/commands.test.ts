import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

interface Manifest {
  readonly commands: Readonly<
    Record<string, { readonly flags: Readonly<Record<string, { char?: string; type: string }>>; readonly args: object }>
  >;
}

it("every command and flag is as the snapshot says: a change of the interface shows in review", async () => {
  const text = readFileSync(join(import.meta.dirname, "../../oclif.manifest.json"), "utf8");
  const { commands } = JSON.parse(text) as Manifest;
  // The manifest lists them as the disk did.
  const sorted = Object.entries(commands).sort(([a], [b]) => (a < b ? -1 : 1));
  const lines = sorted.flatMap(([id, { flags, args }]) => [
    `klio ${id.replaceAll(":", " ")} ${Object.keys(args).join(" ")}`.trim(),
    ...Object.entries(flags)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([flag, { char, type }]) => `  ${char === undefined ? "" : `-${char}, `}--${flag} (${type})`),
  ]);
  await expect(`${lines.join("\n")}\n`).toMatchFileSnapshot("commands.snap");
});
