import { cp, mkdir } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { User } from "../support/klio.js";

let user: User;

beforeEach(async () => {
  user = await User.create();
});

afterEach(() => user.remove());

// An installed job as its user has it: from the registry, with the lockfile it came with.
describe.each([
  { template: "streaming", element: "ada", output: "ada.txt", recording: undefined },
  {
    template: "audio",
    element: "sense-and-sensibility-1",
    output: "sense-and-sensibility-1.png",
    recording: "sense-and-sensibility-1.wav",
  },
])("the template $template", ({ template, element, output, recording }) => {
  it("makes a job that installs, passes its own tests and types, and processes a message", async () => {
    const job = join(user.home, "my-job");
    const flags = [
      "--from",
      template,
      "--job-name",
      "my-job",
      "--gcp-project",
      "test-project",
      "--use-defaults",
      "--output",
      job,
      "--json",
    ];
    const created = await user.klio(["job", "create", ...flags]);
    expect(JSON.parse(created.stdout)).toMatchObject({ job: "my-job", template, installed: true });
    const npm = (...args: string[]) =>
      execa("npm", args, { cwd: job, env: user.environment, extendEnv: false, reject: false, all: true });
    const tests = await npm("test");
    expect(tests.exitCode, tests.all).toBe(0);
    expect(tests.stdout).toMatch(/Tests .*\d+ passed/);
    const types = await npm("run", "types");
    expect(types.exitCode, types.all).toBe(0);
    const run = user.start(["job", "run", "--direct-runner"], job);
    await run.until("is ready");
    if (recording !== undefined) {
      const input = join(job, ".klio/storage/test-project-input/my-job");
      await mkdir(input, { recursive: true });
      await cp(join(job, "recordings", recording), join(input, recording));
    }
    const published = await user.klio(["message", "publish", element, "--wait"], job);
    expect(published.stdout).toContain(`${element} processed`);
    expect(existsSync(join(job, ".klio/storage/test-project-output/my-job", output))).toBe(true);
    expect(run.stderr).not.toContain("error TS");
    expect((await run.stop()).code).toBe(0);
  }, 300_000);
});
