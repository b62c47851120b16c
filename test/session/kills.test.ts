import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
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
  const ports = [ready["pubsub"], ready["storage"]].map((a) => Number(String(a).split(":").at(-1)));
  // The check itself is checked: while the job runs they are there.
  expect(ownPorts(ports).sort()).toEqual([...ports].sort());
  return { run, ports };
}

function pidOf(part: string): number {
  const [line = ""] = user.processes().filter((l) => l.includes(part));
  return Number(line.split(" ")[0]);
}

/** The ports of these on which a process of this user listens; another session on this machine may have taken one by now. */
function ownPorts(ports: readonly number[]): number[] {
  // https://docs.kernel.org/networking/proc_net_tcp.html: local address, state 0A is LISTEN, inode
  const listening = ["/proc/net/tcp", "/proc/net/tcp6"]
    .filter((path) => existsSync(path))
    .flatMap((path) => readFileSync(path, "utf8").trim().split("\n").slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === "0A")
    .map((fields) => ({ port: parseInt(fields[1]?.split(":")[1] ?? "", 16), inode: fields[9] }));
  const sockets = new Set(user.processes().flatMap((line) => socketsOf(line.split(" ")[0] ?? "")));
  return listening.filter((l) => ports.includes(l.port) && sockets.has(`socket:[${l.inode ?? ""}]`)).map((l) => l.port);
}

function socketsOf(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
  } catch {
    return [];
  }
}

/** No process, port, lock or temporary file. */
async function expectNothingLeft(ports: readonly number[]): Promise<void> {
  await user.processesLeft(15_000);
  expect(ownPorts(ports)).toEqual([]);
  expect(user.processes()).toEqual([]);
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
