import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { illegalEvents, type Running, User } from "../support/klio.js";
import { root } from "../support/rig.js";
import { inTerminal, Terminal } from "../support/terminal.js";

let user: User;
let job: string;

beforeEach(async () => {
  user = await User.create();
  job = await user.job("my-job");
});

afterEach(() => user.remove());

async function start(): Promise<{ run: Running; ports: number[] }> {
  const run = user.start(["job", "run", "--direct-runner", "--watch", "--json"], job);
  const ready = await run.untilEvent({ event: "ready" });
  return { run, ports: [ready["pubsub"], ready["storage"]].map((a) => Number(String(a).split(":").at(-1))) };
}

function pidOf(part: string): number {
  const [line = ""] = user.processes().filter((l) => l.includes(part));
  return Number(line.split(" ")[0]);
}

const listens = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => {
      resolve(false);
    });
  });

/** No process, port, lock or temporary file. */
async function expectNothingLeft(ports: readonly number[]): Promise<void> {
  expect(await user.processesLeft(15_000)).toEqual([]);
  expect(await Promise.all(ports.map(listens))).toEqual(ports.map(() => false));
  expect(user.leftovers()).toEqual([]);
  const run = join(job, ".klio/run");
  expect(existsSync(run) ? readdirSync(run) : []).toEqual([]);
  const own = readdirSync(join(job, ".klio")).filter((f) => !["storage", "run", "node_modules"].includes(f));
  expect(own).toEqual([]);
}

describe("nothing is left", () => {
  it("after kill -9 of the command", async () => {
    const { run, ports } = await start();
    await user.klio(["message", "publish", "ada", "--wait"], job);
    await run.stop("SIGKILL");
    await expectNothingLeft(ports);
  });

  it("after kill -9 of the session's process and the end of the job", async () => {
    const { run, ports } = await start();
    process.kill(pidOf("session.cjs"), "SIGKILL");
    await run.untilEvent({ event: "session-gone" });
    while (run.events().filter((e) => e.event === "ready").length < 2) await sleep(20);
    expect((await user.klio(["message", "publish", "ada", "--wait"], job)).code).toBe(0);
    expect((await run.stop()).code).toBe(0);
    expect(illegalEvents(run.events())).toEqual([]);
    await expectNothingLeft(ports);
  });

  it("after kill -9 of the job's process, which ends the command with 1", async () => {
    const run = user.start(["job", "run", "--direct-runner", "--json"], job);
    const ready = await run.untilEvent({ event: "ready" });
    process.kill(pidOf("bin.js run"), "SIGKILL");
    const { code } = await run.finished;
    expect(code).toBe(1);
    expect(run.events().at(-1)).toMatchObject({
      event: "ended",
      message: expect.stringContaining("SIGKILL") as string,
    });
    await expectNothingLeft([Number(String(ready["pubsub"]).split(":").at(-1))]);
  });

  it("after kill -9 of the command and of the job's process", async () => {
    const { run, ports } = await start();
    process.kill(pidOf("bin.js run"), "SIGKILL");
    run.child.kill("SIGKILL");
    await run.finished;
    expect(await user.processesLeft(15_000)).toEqual([]);
    // What neither could remove is removed by whoever comes next.
    const next = await start();
    await next.run.stop();
    await expectNothingLeft(ports);
  });

  it("after SIGTERM while it starts", async () => {
    mkdirSync(join(job, ".klio"));
    for (const ms of [150, 400, 700, 1_000]) {
      const run = user.start(["job", "run", "--direct-runner"], job);
      await sleep(ms);
      await run.stop("SIGTERM");
      await expectNothingLeft([]);
    }
  });

  inTerminal("after the terminal was closed", async () => {
    const terminal = new Terminal(user.home, user.environment);
    terminal.run(`cd my-job && node ${join(root, "bin/run.js")} job run --direct-runner --watch`);
    await terminal.until("is ready");
    await user.klio(["message", "publish", "ada", "--wait"], job);
    terminal.close();
    await expectNothingLeft([]);
  });
});
