import { cp, mkdir, readFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { illegalEvents, type Running, User } from "../support/klio.js";
import { root } from "../support/rig.js";

let user: User;
let chain: string;

beforeEach(async () => {
  user = await User.create();
  chain = join(user.home, "chain");
  await cp(join(root, "examples/chain"), chain, {
    recursive: true,
    filter: (source) => !/[\\/](\.klio|node_modules|test)$/.test(source),
  });
});

afterEach(() => user.remove());

/** A job beside `chart`: it receives the same messages. */
async function sibling(): Promise<string> {
  const directory = join(chain, "sibling");
  const flags = ["--from", "minimal", "--job-name", "sibling", "--gcp-project", "klio-examples", "--use-defaults"];
  const parent = "job_name=envelope,input_topic=projects/klio-examples/topics/normalize-output";
  const made = await user.klio([
    "job",
    "create",
    ...flags,
    "--no-install",
    "--dependency",
    parent,
    "--output",
    directory,
  ]);
  expect(made.code, made.stderr).toBe(0);
  const config = await readFile(join(directory, "klio-job.yaml"), "utf8");
  expect(config).toContain("topic: projects/klio-examples/topics/envelope-output");
  expect(config).toMatch(/dependencies:.*\n\s+- job_name: envelope\n\s+gcp_project: klio-examples/);
  return directory;
}

async function putRecordings(): Promise<void> {
  const input = join(chain, "normalize/.klio/storage/klio-examples-input/chain");
  await mkdir(input, { recursive: true });
  await cp(join(root, "examples/spectrogram/recordings"), input, { recursive: true });
}

const outcomes = (run: Running) =>
  run
    .events()
    .filter((e) => e.event === "outcome")
    .map((e) => `${String(e["job"])} ${String(e["outcome"])} ${String(e["element"])}`);

const one = "sense-and-sensibility-1";
const two = "sense-and-sensibility-2";

describe("a chain ROOT → A → B with a sibling of B", () => {
  it("runs with one command; a message for everyone goes through all of it, one for B alone makes what B lacks", async () => {
    const names = ["normalize", "envelope", "chart"];
    const directories = [...names.map((name) => join(chain, name)), await sibling()];
    const run = user.start(["job", "run", "--direct-runner", "--json", ...directories], user.home);
    for (const name of [...names, "sibling"]) await run.untilEvent({ event: "ready", job: name });
    await putRecordings();

    await user.klio(["message", "publish", one, "--job-dir", "normalize", "--top-down"], chain);
    for (const job of ["chart", "sibling"]) await run.untilEvent({ outcome: "processed", job });
    const topDown = outcomes(run);
    expect([...topDown].sort()).toEqual([...names, "sibling"].map((name) => `${name} processed ${one}`).sort());

    const asked = await user.klio(["message", "publish", two, "--job-dir", "chart", "--wait"], chain);
    expect(asked.code, asked.stderr).toBe(0);
    // Until it has come back.
    expect(asked.stdout).toContain(`${two} processed`);
    await run.untilEvent({ outcome: "processed", job: "chart", element: two });
    await run.untilEvent({ outcome: "not-for-this-job", job: "sibling" });
    // Once the request itself, which is on its topic too, and once what chart's parent sends.
    await run.until(/(not-for-this-job[^]*){2}/);
    const bottomUp = outcomes(run).slice(topDown.length);
    expect([...bottomUp].sort()).toEqual(
      [
        `chart sent-upstream ${two}`,
        `envelope sent-upstream ${two}`,
        ...names.map((name) => `${name} processed ${two}`),
        `sibling not-for-this-job ${two}`,
        `sibling not-for-this-job ${two}`,
      ].sort(),
    );
    for (const name of [one, two]) {
      const svg = join(chain, `chart/.klio/storage/klio-examples-output/chain/${name}.svg`);
      expect(await readFile(svg, "utf8")).toContain("<polygon");
    }
    expect((await run.stop()).code).toBe(0);
    expect(illegalEvents(run.events())).toEqual([]);
    expect(await user.processesLeft()).toEqual([]);
    expect(user.leftovers()).toEqual([]);
  });

  it("becomes a dead letter, and no endless loop, when nobody upstream can make the input", async () => {
    const directories = ["normalize", "envelope", "chart"].map((name) => join(chain, name));
    const run = user.start(["job", "run", "--direct-runner", "--json", ...directories], user.home);
    for (const name of ["normalize", "envelope", "chart"]) await run.untilEvent({ event: "ready", job: name });
    const asked = await user.klio(["message", "publish", "nowhere", "--job-dir", "chart", "--wait"], chain);
    expect(asked.code).toBe(1);
    expect(asked.stderr).toContain("1 of 1 became a dead letter");
    expect(outcomes(run)).toEqual([
      "chart sent-upstream nowhere",
      "envelope sent-upstream nowhere",
      "normalize dead-letter nowhere",
    ]);
    await run.stop();
  });
});

describe("several jobs", () => {
  it("in terminals of their own share one session; whoever leaves first disturbs nobody, the last one ends it", async () => {
    const runs = ["normalize", "envelope", "chart"].map((name) =>
      user.start(["job", "run", "--direct-runner", "--json"], join(chain, name)),
    );
    await Promise.all(runs.map((run) => run.untilEvent({ event: "ready" })));
    expect(user.processes().filter((line) => line.includes("session.cjs"))).toHaveLength(1);
    await putRecordings();
    await user.klio(["message", "publish", one, "--job-dir", "normalize", "--top-down"], chain);
    await runs[2]?.untilEvent({ outcome: "processed" });
    await runs[0]?.stop();
    expect((await user.klio(["message", "publish", one, "--job-dir", "envelope", "--wait"], chain)).stdout).toContain(
      "passed-through",
    );
    await Promise.all([runs[1]?.stop(), runs[2]?.stop()]);
    expect(await user.processesLeft()).toEqual([]);
    expect(user.leftovers()).toEqual([]);
  });

  it("in one terminal have prefixes; none starts when one of them is wrong", async () => {
    const good = user.start(["job", "run", "--direct-runner", "normalize", "envelope"], chain, { FORCE_COLOR: "1" });
    await good.until(/envelope.*is ready/);
    await good.until(/normalize.*is ready/);
    expect(good.stderr).toMatch(/^\u001b\[36mnormalize\u001b\[39m .*is ready/m);
    expect(good.stderr).toMatch(/^\u001b\[35menvelope \u001b\[39m .*is ready/m);
    expect((await good.stop()).code).toBe(0);

    const { writeFile } = await import("node:fs/promises");
    await writeFile(join(chain, "chart/src/run.ts"), "export default (");
    const bad = await user.klio(["job", "run", "--direct-runner", "normalize", "chart"], chain);
    expect(bad.code).toBe(1);
    expect(bad.stderr).toMatch(/src\/run\.ts:1:17: error/);
    expect(bad.stderr).not.toContain("is ready");
    expect(await user.processesLeft()).toEqual([]);
    expect(existsSync(join(chain, "normalize/.klio/run"))).toBe(true);

    const twice = await user.klio(["job", "run", "--direct-runner", "normalize", "normalize"], chain);
    expect(twice.stderr).toContain("two of the jobs are called normalize");
    const both = await user.klio(["job", "run", "--direct-runner", "normalize", "--job-dir", "chart"], chain);
    expect(both.stderr).toContain("exclude each other");
  });
});
