import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../support/rig.js";
import { jest, skips } from "../support/tools.js";

const folder = mkdtempSync(join(tmpdir(), "klio-runners-"));

/** A test of a job, in JavaScript; it fails where `outcome` is not what becomes of the message. */
function testFile(imports: string, outcome: string): string {
  return `${imports}
import { defineJob, defineTransform } from "@klio/runtime";
import { testJob } from "@klio/runtime/testing";

const shout = defineTransform("shout", {
  async process(item, ctx) {
    await ctx.upload(item, item.element.toUpperCase());
    return item.with("done");
  },
});

test("the job shouts", async () => {
  const result = await testJob(defineJob({ build: (input) => input.apply(shout) })).send("hello");
  if (result.outcome !== "${outcome}") throw new Error("outcome " + result.outcome);
  if (Buffer.from(result.objects[0].data).toString() !== "HELLO") throw new Error("no object");
  if (!result.acknowledged || result.messages[0].text !== "done") throw new Error("no message");
});
`;
}

beforeAll(() => {
  mkdirSync(join(folder, "node_modules/@klio"), { recursive: true });
  symlinkSync(join(root, "dist/runtime"), join(folder, "node_modules/@klio/runtime"));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The runner's exit code over a test that is right, and one that is wrong. */
async function both(
  imports: string,
  file: string,
  command: readonly string[],
  env = {},
): Promise<(number | undefined)[]> {
  const codes: (number | undefined)[] = [];
  for (const outcome of ["processed", "skipped"]) {
    writeFileSync(join(folder, file), testFile(imports, outcome));
    const { exitCode } = await execa(process.execPath, command, { cwd: folder, reject: false, env });
    codes.push(exitCode);
  }
  rmSync(join(folder, file));
  return codes;
}

describe("testJob, from the package as it ships", () => {
  it("works with node:test", async () => {
    const imports = 'import { test } from "node:test";';
    expect(await both(imports, "job.test.js", ["--test", "job.test.js"])).toEqual([0, 1]);
  });

  it("works with vitest", async () => {
    const vitest = join(root, "node_modules/vitest/vitest.mjs");
    const imports = `import { test } from ${JSON.stringify(join(root, "node_modules/vitest/dist/index.js"))};`;
    expect(await both(imports, "job.test.js", [vitest, "run", "--root", folder])).toEqual([0, 1]);
  });

  it.skipIf(skips(jest()))("works with jest", async () => {
    const places = ["--rootDir", folder, "--cacheDirectory", join(folder, "cache")];
    const command = ["--experimental-vm-modules", jest().path ?? "", ...places, "--no-watchman"];
    expect(await both("", "job.test.js", command)).toEqual([0, 1]);
  });
});
