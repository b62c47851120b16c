import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { PubSub } from "@google-cloud/pubsub";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { User } from "../support/klio.js";

process.env["METADATA_SERVER_DETECTION"] = "none";

interface Started {
  readonly project: string;
  readonly pid: number;
  readonly started: boolean;
  readonly pubsub: string;
  readonly storage: string;
}

const seed = `
topics:
  - orders
  - name: dead
    labels: { team: audio }
subscriptions:
  - name: worker
    topic: orders
    filter: attributes:kind
    retry_policy: { minimum_backoff: 1.5s }
    dead_letter_policy: { dead_letter_topic: dead, max_delivery_attempts: 7 }
buckets: [uploads]
files:
  - { from: data, bucket: uploads, to: in/ }
`;

let user: User;

beforeEach(async () => {
  user = await User.create();
  writeFileSync(join(user.home, "seed.yaml"), seed);
  mkdirSync(join(user.home, "data/deep"), { recursive: true });
  writeFileSync(join(user.home, "data/deep/a b.txt"), "hello");
});

afterEach(() => user.remove());

async function start(...flags: readonly string[]): Promise<Started> {
  const { stdout, stderr } = await user.klio(["emulators", "start", "--json", "--pubsub-port", "0", ...flags]);
  if (!stdout.includes('"pubsub"')) throw new Error(stdout + stderr);
  return JSON.parse(stdout) as Started;
}

const clientOf = ({ pubsub, project }: Started) =>
  new PubSub({ projectId: project, apiEndpoint: pubsub, emulatorMode: true });

describe("klio emulators start, status, env, stop", () => {
  it("runs until it is stopped, and says where", async () => {
    const stopped = await user.klio(["emulators", "status"]);
    expect([stopped.code, stopped.stdout]).toEqual([1, "not running (project klio-local)\n"]);
    const started = await start();
    const status = await user.klio(["emulators", "status", "--json"]);
    expect(status.code).toBe(0);
    expect(JSON.parse(status.stdout)).toMatchObject({ running: true, kept: true, pid: started.pid, jobs: [] });
    expect((await start()).pid).toBe(started.pid);
    expect((await start("--project", "other-project")).pid).not.toBe(started.pid);
    for (const project of ["klio-local", "other-project"]) {
      expect((await user.klio(["emulators", "stop", "--project", project])).code).toBe(0);
    }
    expect((await user.klio(["emulators", "stop"])).stderr).toBe("not running (project klio-local)\n");
    expect(await user.processesLeft()).toEqual([]);
    expect(user.leftovers()).toEqual([]);
  });

  it("prints variables that a shell takes", async () => {
    const { pubsub, storage } = await start("--project", "quote-project");
    const { stdout } = await user.klio(["emulators", "env", "--project", "quote-project", "--shell", "sh"]);
    const script = `${stdout}\necho "$PUBSUB_EMULATOR_HOST $STORAGE_EMULATOR_HOST $GOOGLE_CLOUD_PROJECT"`;
    const seen = execFileSync("sh", ["-c", script], { encoding: "utf8" });
    expect(seen).toBe(`${pubsub} ${storage} quote-project\n`);
    const inShell = async (shell: string) =>
      (await user.klio(["emulators", "env", "--project", "quote-project", "--shell", shell])).stdout.split("\n")[0];
    expect(await inShell("fish")).toBe(`set -gx PUBSUB_EMULATOR_HOST '${pubsub}'`);
    expect(await inShell("powershell")).toBe(`$Env:PUBSUB_EMULATOR_HOST = '${pubsub}'`);
    const unset = await user.klio(["emulators", "env", "--unset", "--shell", "sh"]);
    expect(unset.stdout).toContain("unset PUBSUB_EMULATOR_HOST\n");
    const none = await user.klio(["emulators", "env"]);
    expect([none.code, none.stdout]).toEqual([1, ""]);
    expect(none.stderr).toContain("klio emulators start");
  });

  it("keeps topics, subscriptions and messages over a stop and a kill, until they are reset", async () => {
    let started = await start("--seed-file", "seed.yaml");
    let client = clientOf(started);
    await client.topic("orders").publishMessage({ data: Buffer.from("kept"), attributes: { kind: "x" } });
    for (const end of ["stop", "kill"]) {
      await client.close();
      if (end === "kill") process.kill(started.pid, "SIGKILL");
      else await user.klio(["emulators", "stop"]);
      expect(await user.processesLeft()).toEqual([]);
      started = await start();
      client = clientOf(started);
      expect((await client.subscription("worker").getMetadata())[0].filter).toBe("attributes:kind");
    }
    const message = await new Promise<string>((resolve) => {
      client.subscription("worker").on("message", (m: { data: Buffer; ack(): void }) => {
        m.ack();
        resolve(m.data.toString());
      });
    });
    expect(message).toBe("kept");
    await client.close();
    await user.klio(["emulators", "stop", "--reset-pubsub"]);
    started = await start();
    client = clientOf(started);
    expect((await client.getTopics())[0]).toEqual([]);
    await client.close();
    await user.klio(["emulators", "stop"]);
  });

  it("is not stopped under a job, nor started anew with other flags", async () => {
    const directory = await user.job("used-job");
    const job = user.start(["job", "run", "--direct-runner", "--json"], directory);
    await job.untilEvent({ event: "ready" });
    const refused = await user.klio(["emulators", "stop", "--project", "test-project"]);
    expect(refused.stderr).toContain("used-job runs with the emulators");
    const other = await user.klio(["emulators", "start", "--project", "test-project", "--in-memory"]);
    expect(other.stderr).toContain("run already, and not with this: --in-memory");
    const kept = JSON.parse(
      (await user.klio(["emulators", "start", "--project", "test-project", "--json"])).stdout,
    ) as Started;
    job.child.kill("SIGTERM");
    await job.finished;
    const { stdout } = await user.klio(["emulators", "status", "--project", "test-project", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ running: true, pid: kept.pid, jobs: [] });
    // Killed, it is started by the next who needs it, and stays again.
    process.kill(kept.pid, "SIGKILL");
    const next = user.start(["job", "run", "--direct-runner", "--json"], directory);
    await next.untilEvent({ event: "ready" });
    next.child.kill("SIGTERM");
    await next.finished;
    expect((await user.klio(["emulators", "status", "--project", "test-project"])).code).toBe(0);
    await user.klio(["emulators", "stop", "--project", "test-project"]);
    expect(await user.processesLeft()).toEqual([]);
  });

  it("listens where it is told to, and there alone", async () => {
    const own = Object.values(networkInterfaces())
      .flat()
      .find((n) => n?.family === "IPv4" && !n.internal)?.address;
    const address = own ?? "127.0.0.2";
    const { pubsub, storage } = await start("--bind", address, "--storage-port", "0");
    expect(pubsub.startsWith(`${address}:`)).toBe(true);
    expect((await fetch(`${storage}/storage/v1/b?project=x`)).status).toBe(200);
    const port = new URL(storage).port;
    await expect(fetch(`http://127.0.0.1:${port}/storage/v1/b?project=x`)).rejects.toThrow();
    await user.klio(["emulators", "stop"]);
  });
});

describe("emulators that are started or stopped beside others", () => {
  it("are started once, and the one who came second hears of other flags", async () => {
    const [first, second] = await Promise.all([
      user.klio(["emulators", "start", "--json"]),
      user.klio(["emulators", "start", "--json", "--in-memory"]),
    ]);
    const outcomes = [first, second].map(
      ({ stdout }) => JSON.parse(stdout) as Partial<Started> & { error?: { code: string } },
    );
    expect(
      outcomes.filter((o) => o.started === true),
      JSON.stringify(outcomes),
    ).toHaveLength(1);
    // Whoever won, the other either agrees or says in what they differ.
    const other = outcomes.find((o) => o.started !== true);
    expect(other?.error?.code ?? "agrees").toMatch(/^(?:EMULATORS_RUN|agrees)$/);
    await user.klio(["emulators", "stop"]);
    expect(await user.processesLeft()).toEqual([]);
  });

  it("are started again by a job that goes on, with nothing in them after a reset", async () => {
    const directory = await user.job("again-job");
    const job = user.start(["job", "run", "--direct-runner", "--json"], directory);
    await job.untilEvent({ event: "ready" });
    const flags = ["--project", "test-project", "--force", "--reset-pubsub"];
    const stopped = await user.klio(["emulators", "stop", ...flags]);
    expect(stopped.stderr).toContain("again-job goes on, and starts them again");
    await job.untilEvent({ event: "session-gone" });
    const published = await user.klio(["message", "publish", "ada", "--wait", "--timeout", "60"], directory);
    expect(published.stdout + published.stderr).toContain("ada");
    job.child.kill("SIGTERM");
    await job.finished;
    expect(await user.processesLeft()).toEqual([]);
  });

  it("listen on IPv6, and answer there", async () => {
    const { code, stdout, stderr } = await user.klio([
      "emulators",
      "exec",
      "--bind",
      "::",
      "--seed-file",
      "seed.yaml",
      "--",
      "sh",
      "-c",
      'curl -s -o /dev/null -w "%{http_code}" "$STORAGE_EMULATOR_HOST/storage/v1/b/uploads"',
    ]);
    expect([code, stdout, stderr]).toEqual([0, "200", ""]);
  });
});

describe("klio emulators exec", () => {
  const exec = (flags: readonly string[], ...command: readonly string[]) =>
    user.klio(["emulators", "exec", ...flags, "--", ...command]);

  it("runs a command with emulators of its own and ends with its exit code", async () => {
    const script = 'echo "$PUBSUB_EMULATOR_HOST $STORAGE_EMULATOR_HOST $GOOGLE_CLOUD_PROJECT"; exit 7';
    const { code, stdout } = await exec(["--project", "mine-project"], "sh", "-c", script);
    expect(code).toBe(7);
    expect(stdout).toMatch(/^127\.0\.0\.1:\d+ http:\/\/127\.0\.0\.1:\d+ mine-project\n$/);
    expect((await exec([], "sh", "-c", "kill -KILL $$")).code).toBe(137);
    expect(await user.processesLeft()).toEqual([]);
    expect(user.leftovers()).toEqual([]);
  });

  it("passes arguments on as they are", async () => {
    const odd = ["$(touch hacked)", "a b", "--flag", "'", "*"];
    const { stdout } = await exec(
      [],
      process.execPath,
      "-e",
      "console.log(JSON.stringify(process.argv.slice(1)))",
      "--",
      ...odd,
    );
    expect(JSON.parse(stdout)).toEqual(odd);
    expect(readdirSync(user.home)).not.toContain("hacked");
  });

  it("begins with what the seed file says, whatever the shell's variables say", async () => {
    const elsewhere = { STORAGE_EMULATOR_HOST: "http://127.0.0.1:9", PUBSUB_EMULATOR_HOST: "127.0.0.1:9" };
    const list = 'curl -s "$STORAGE_EMULATOR_HOST/storage/v1/b/uploads/o"';
    const args = ["emulators", "exec", "--seed-file", "seed.yaml", "--", "sh", "-c", list];
    const { stdout } = await user.klio(args, user.home, elsewhere);
    const { items } = JSON.parse(stdout) as { items: { name: string }[] };
    expect(items.map((i) => i.name)).toEqual(["in/deep/a b.txt"]);
  });

  it("says what it cannot start, and leaves nothing", async () => {
    const { code, stderr } = await exec([], "no-such-program");
    expect(code).toBe(127);
    expect(stderr).toContain("no-such-program cannot be started");
    expect(user.leftovers()).toEqual([]);
  });

  it("ends with its command when it is told to end", async () => {
    const running = user.start(
      ["emulators", "exec", "--", "sh", "-c", 'trap "exit 5" TERM; echo up; while :; do sleep 0.1; done'],
      user.home,
    );
    while (!running.stdout.includes("up")) await new Promise((resolve) => setTimeout(resolve, 50));
    running.child.kill("SIGTERM");
    expect((await running.finished).code).toBe(5);
    expect(await user.processesLeft()).toEqual([]);
    expect(user.leftovers()).toEqual([]);
  });

  it("passes an interrupt on that comes from no terminal", async () => {
    const script = 'trap "exit 6" INT; echo up; while :; do sleep 0.1; done';
    const running = user.start(["emulators", "exec", "--", "sh", "-c", script], user.home);
    while (!running.stdout.includes("up")) await new Promise((resolve) => setTimeout(resolve, 50));
    running.child.kill("SIGINT");
    expect((await running.finished).code).toBe(6);
    expect(user.leftovers()).toEqual([]);
  });

  it("sweeps at its next start what a killed one left", async () => {
    const running = user.start(["emulators", "exec", "--", "sh", "-c", "echo up; sleep 1"], user.home);
    while (!running.stdout.includes("up")) await new Promise((resolve) => setTimeout(resolve, 50));
    running.child.kill("SIGKILL");
    await running.finished;
    expect(await user.processesLeft()).toEqual([]);
    await exec([], "true");
    expect(user.leftovers()).toEqual([]);
  });

  it("lets go wrong what it is told to", async () => {
    // Once as many are there as are wanted, it waits a little for what would be too many.
    const script = (wanted: number) => `
      import { PubSub } from "@google-cloud/pubsub";
      const client = new PubSub();
      const [topic] = await client.createTopic("faulty");
      const [subscription] = await topic.createSubscription("faulty-s");
      for (let i = 0; i < 20; i++) await topic.publishMessage({ data: Buffer.from(String(i)) });
      let n = 0;
      subscription.on("message", (m) => { n++; m.ack(); });
      const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
      for (let i = 0; i < 400 && n < ${wanted}; i++) await wait(50);
      await wait(1000);
      console.log(n);
      process.exit(0);
    `;
    const run = (wanted: number, ...flags: string[]) =>
      user.klio(
        ["emulators", "exec", ...flags, "--", process.execPath, "--input-type=module", "-e", script(wanted)],
        process.cwd(),
      );
    expect(Number((await run(20)).stdout)).toBe(20);
    const faulty = await run(40, "--fault", "duplicate=1");
    expect(Number(faulty.stdout)).toBe(40);
    expect(faulty.stderr).toMatch(/the same faults again: --fault-seed \d+/);
  });

  it("happens in Cloud Storage, too", async () => {
    const script = 'fetch(process.env.STORAGE_EMULATOR_HOST + "/b").then((answer) => console.log(answer.status))';
    const flags = ["--fault", "service-unavailable=1", "--fault-seed", "3", "--fault-after", "10"];
    const { stdout } = await user.klio(["emulators", "exec", ...flags, "--", process.execPath, "-e", script]);
    expect(stdout.trim()).toBe("503");
  });
});

describe("a mistake", () => {
  it("in a seed file is shown with its place", async () => {
    writeFileSync(join(user.home, "seed.yaml"), "topics:\n  - name: a\n    label: {}\nsubscriptions:\n  - name: s\n");
    const { code, stderr } = await user.klio(["emulators", "start", "--seed-file", "seed.yaml"]);
    expect(code).toBe(1);
    expect(stderr).toContain("seed.yaml:3:5: error CONFIG_UNKNOWN_KEY");
    expect(stderr).toContain('Did you mean "labels"?');
    expect(stderr).toContain("seed.yaml:5:5: error CONFIG_MISSING_KEY");
    expect(await user.processesLeft()).toEqual([]);
  });

  it("that an emulator refuses is shown with what it is about", async () => {
    writeFileSync(
      join(user.home, "seed.yaml"),
      "topics: [abc]\nsubscriptions:\n  - { name: sub, topic: abc, filter: foo }\n",
    );
    const { code, stderr } = await user.klio(["emulators", "exec", "--seed-file", "seed.yaml", "--", "true"]);
    expect(code).toBe(1);
    expect(stderr).toContain("subscription sub: ");
    expect(stderr).toContain("the filter is malformed at character 1");
    writeFileSync(join(user.home, "seed.yaml"), "buckets: [b-1]\nfiles:\n  - { from: nowhere, bucket: b-1 }\n");
    const missing = await user.klio(["emulators", "exec", "--seed-file", "seed.yaml", "--", "true"]);
    expect(missing.stderr).toContain("nowhere");
  });

  it("in an address, a project or a command line says what to do", async () => {
    const exec = (...args: readonly string[]) => user.klio(["emulators", "exec", ...args]);
    expect((await exec("--bind", "203.0.113.7", "--", "true")).stderr).toContain("[EMULATORS_BIND]");
    expect((await user.klio(["emulators", "start", "--bind", "203.0.113.7"])).stderr).toContain("EADDRNOTAVAIL");
    expect((await user.klio(["emulators", "status", "--project", ".."])).stderr).toContain("[PROJECT_ID]");
    expect((await exec("echo", "hello", "--", "--grep")).stderr).toContain("before --");
    writeFileSync(join(user.home, "klio-job.yaml"), "job_name: $NAME\n");
    expect((await user.klio(["emulators", "stop"])).stderr).toContain("--project PROJECT_ID");
    expect(await user.processesLeft()).toEqual([]);
  });

  it("in a fault is shown with the nearest right one", async () => {
    const { code, stderr } = await user.klio(["emulators", "exec", "--fault", "duplicates=0.1", "--", "true"]);
    expect(code).toBe(1);
    expect(stderr).toContain("Did you mean --fault duplicate=0.1?");
    const value = await user.klio(["emulators", "exec", "--fault", "duplicate=2", "--", "true"]);
    expect(value.stderr).toContain("a probability is 0 to 1");
  });
});
