import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");
const guide = join(root, "docs/guide");
const compiled = ["guide-examples.ts", "guide-examples.test.ts"]
  .map((file) => readFileSync(join(root, "packages/runtime/test", file), "utf8"))
  .join("\n");
// Their code is that of the emulators' library, and of a template that a test renders and runs.
const others = ["emulators.md", "templates.md"];

it.each(readdirSync(guide).filter((page) => !others.includes(page)))(
  "%s shows no code that is not compiled",
  (page) => {
    const text = readFileSync(join(guide, page), "utf8");
    const blocks = [...text.matchAll(/^```ts\n([^]*?)^```$/gm)].map((m) => m[1] ?? "");
    expect(blocks.filter((block) => !compiled.includes(block))).toEqual([]);
  },
);
