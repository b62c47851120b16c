import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect } from "vitest";
import { User } from "../support/klio.js";
import { root } from "../support/rig.js";
import { inTerminal, Terminal } from "../support/terminal.js";

let user: User;
let terminal: Terminal;

beforeEach(async () => {
  user = await User.create();
  terminal = new Terminal(user.home, user.environment, { columns: 110, rows: 60 });
});

afterEach(async () => {
  terminal.close();
  await user.remove();
});

const create = (...flags: string[]) =>
  `clear; node ${join(root, "bin/run.js")} job create --no-install --output my-job ${flags.join(" ")}; echo "exit=$?"`;

/** The screen without what is different each time. */
const screen = () =>
  terminal
    .screen()
    .replaceAll(user.home, "HOME")
    .replace(/\n[#$] ?$/, "");

interface Step {
  /** What the prompt asks. */
  readonly asks: string;
  readonly type?: string;
}

/** All prompts of a streaming job, with the answers of somebody who accepts what is offered. */
const steps: readonly Step[] = [
  { asks: "Template" },
  { asks: "Name of the job", type: "songs" },
  { asks: "Google Cloud project", type: "test-project" },
  { asks: "Does it receive from another job?" },
  { asks: "Topic the job receives from" },
  { asks: "Topic the job sends to" },
  { asks: "Where input objects are" },
  { asks: "Where output objects go" },
  { asks: "Set options of Dataflow now?" },
  { asks: "Write these 14 files?" },
];

async function answer({ asks, type }: Step): Promise<void> {
  await terminal.until(asks);
  if (type !== undefined) {
    terminal.type(type);
    await terminal.until(type);
  }
  terminal.press("Enter");
}

const expectNothingMade = () => {
  expect(existsSync(join(user.home, "my-job"))).toBe(false);
  expect(readdirSync(user.home).filter((f) => f.includes("klio-"))).toEqual([]);
  expect(readdirSync(join(user.home, "tmp"))).toEqual([]);
};

describe("job create in a terminal", () => {
  inTerminal("asks, offers what follows from the job's name, and writes when it is told to", async () => {
    terminal.run(create());
    for (const step of steps) await answer(step);
    await terminal.until("exit=0");
    expect(screen()).toMatchSnapshot();
    expect(readFileSync(join(user.home, "my-job/klio-job.yaml"), "utf8")).toContain("job_name: songs");
  });

  inTerminal("refuses a wrong answer while it is typed, until it is right", async () => {
    terminal.run(create("--from", "minimal"));
    await terminal.until("Name of the job");
    terminal.type("My Job");
    terminal.press("Enter");
    await terminal.until("It must be lower-case letters");
    expect(screen()).toMatchSnapshot("a wrong name");
    for (let i = 0; i < 6; i += 1) terminal.press("BSpace");
    await answer({ asks: "Name of the job", type: "songs" });
    await terminal.until("Google Cloud project");
    terminal.type("x");
    terminal.press("Enter");
    await terminal.until("It must be 6 to 30");
    terminal.press("BSpace");
    await answer({ asks: "Google Cloud project", type: "test-project" });
    await terminal.until("Does it receive from another job?");
    terminal.type("y");
    terminal.press("Enter");
    await answer({ asks: "Name of that job", type: "parent" });
    await answer({ asks: "Its Google Cloud project" });
    await terminal.until("projects/test-project/topics/parent-output");
    terminal.press("Enter");
    await answer({ asks: "Set options of Dataflow now?" });
    await answer({ asks: "Write these 13 files?" });
    await terminal.until("exit=0");
    expect(screen()).toMatchSnapshot("the whole dialogue");
    expect(readFileSync(join(user.home, "my-job/klio-job.yaml"), "utf8")).toMatch(
      /dependencies:.*\n\s+- job_name: parent/,
    );
  });

  inTerminal("asks for Dataflow's options when it is told to, and writes nothing when the answer is no", async () => {
    terminal.run(create("--from", "minimal", "--job-name", "songs", "--gcp-project", "test-project"));
    await answer({ asks: "Does it receive from another job?" });
    await answer({ asks: "Topic the job receives from" });
    await terminal.until("Set options of Dataflow now?");
    terminal.type("y");
    terminal.press("Enter");
    const questions = ["Region", "FnAPI", "Experiments", "Workers at the beginning", "Workers at most", "Autoscaling"];
    for (const asks of [
      ...questions,
      "Disk of a worker",
      "Machine type",
      "Image that is there",
      "stages",
      "temporary",
    ]) {
      await answer({ asks });
    }
    await terminal.until("Write these 13 files?");
    terminal.type("n");
    terminal.press("Enter");
    await terminal.until("exit=1");
    expect(screen()).toMatchSnapshot();
    expectNothingMade();
  });

  inTerminal.each(steps.map((step, i) => [step.asks, i] as const))(
    "leaves nothing behind after Ctrl-C at: %s",
    async (asks, i) => {
      terminal.run(create());
      for (const step of steps.slice(0, i)) await answer(step);
      await terminal.until(asks);
      terminal.press("C-c");
      await terminal.until("exit=130");
      expect(terminal.screen()).not.toMatch(/\n\s+at /);
      expectNothingMade();
    },
  );
});
