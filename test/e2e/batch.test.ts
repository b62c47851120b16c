import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { numbered, starts, writeBatchJob, writeElements } from "../support/batch-job.js";
import { type Event, illegalEvents, User } from "../support/klio.js";
import { root } from "../support/rig.js";
import { inTerminal, Terminal } from "../support/terminal.js";

let user: User;
let job: string;

beforeEach(async () => {
  user = await User.create();
  job = join(user.home, "job");
});

afterEach(() => user.remove());

const run = (...flags: string[]) => user.klio(["job", "run", "--direct-runner", ...flags], job);
const lines = (file: string) => readFileSync(join(job, file), "utf8").split("\n").slice(0, -1);

describe("a batch job", () => {
  it("works through text files, plain and compressed, by patterns and behind header lines, and ends", async () => {
    writeBatchJob(job, { inputs: '[{type: file, location: "lists/**/*.{txt,gz}", skip_header_lines: 1}]' });
    mkdirSync(join(job, "lists/deep"), { recursive: true });
    writeFileSync(join(job, "lists/a.txt"), "\ufeffid\r\na1\r\n\r\na2");
    writeFileSync(join(job, "lists/deep/b.txt.gz"), gzipSync("id\nb1\nb2\n"));
    writeFileSync(join(job, "lists/other.csv"), "id\nno\n");
    const { code, stderr } = await run();
    expect(stderr).toContain("4 element(s), 1 empty line(s) left out");
    expect(stderr).toContain("4 processed");
    expect(code).toBe(0);
    // In the order of the input.
    expect(lines("out/done-00000-of-00001.txt")).toEqual(["a1", "a2", "b1", "b2"]);
    expect(readFileSync(join(job, "out/objects/b2"), "utf8")).toBe("made from b2");
    expect(existsSync(join(job, ".klio/batch/test-batch"))).toBe(false);
    expect(await user.processesLeft()).toEqual([]);
    expect(user.leftovers()).toEqual([]);
    // No session was needed for files alone.
    expect(existsSync(join(user.home, ".local"))).toBe(false);
  });

  it("writes shards with header, footer and compression; an element may come twice, and be skipped", async () => {
    writeBatchJob(job, {
      outputs:
        "[{type: file, location: out/done, num_shards: 3, header: id, footer: end, file_name_suffix: .txt.gz}, {type: file, name: all, location: out/all}]",
    });
    writeElements(job, [...numbered(6), "skip1", "e1"]);
    const { code } = await run();
    expect(code).toBe(0);
    const shards = [0, 1, 2].map((i) =>
      gunzipSync(readFileSync(join(job, `out/done-0000${i}-of-00003.txt.gz`))).toString(),
    );
    expect(shards.every((s) => s.startsWith("id\n") && s.endsWith("\nend\n"))).toBe(true);
    const elements = shards.flatMap((s) => s.split("\n").slice(1, -2));
    expect(elements).toEqual([...numbered(6), "e1"]);
    expect(lines("out/all-00000-of-00001")).toEqual(elements);
    expect(starts(job).get("e1")).toBeLessThanOrEqual(2);
  });

  it("reads and writes gs:// in the local session, and sends messages", async () => {
    writeBatchJob(job, {
      inputs: "[{type: file, location: 'gs://lists/in/*.txt'}, {type: file, name: more, location: more.txt}]",
      outputs:
        "[{type: pubsub, topic: projects/test-project/topics/batch-out}, {type: file, location: gs://lists/out/done, file_name_suffix: .txt}]",
    });
    writeElements(job, ["m1"], "more.txt");
    // Its sink, which also keeps the session alive.
    const sink = join(user.home, "sink");
    const flags = ["--from", "minimal", "--job-name", "sink-job", "--gcp-project", "test-project", "--use-defaults"];
    await user.klio([
      ...["job", "create", ...flags, "--no-install", "--output", sink],
      ...["--input-topic", "projects/test-project/topics/batch-out"],
    ]);
    const receiving = user.start(["job", "run", "--direct-runner", "--json"], sink);
    await receiving.untilEvent({ event: "ready" });
    const bucket = join(sink, ".klio/storage/lists");
    mkdirSync(join(bucket, "in/folder"), { recursive: true });
    writeFileSync(join(bucket, "in/one.txt"), "g1\ng2\n");
    writeFileSync(join(bucket, "in/two.txt"), gzipSync("g3\n"));
    writeFileSync(join(bucket, "in/folder/three.txt"), "no\n");
    const { code, stderr } = await run();
    expect(code, stderr).toBe(0);
    expect(readFileSync(join(bucket, "out/done-00000-of-00001.txt"), "utf8")).toBe("g1\ng2\ng3\nm1\n");
    await receiving.until(/("event":"outcome"[^]*){4}/);
    const received = receiving.events().filter((e) => e.event === "outcome");
    expect(received.map((e) => e["element"]).sort()).toEqual(["g1", "g2", "g3", "m1"]);
    await receiving.stop();
  });

  it("ends with 3 when elements became dead letters, says why in a file, and with 0 if that is allowed", async () => {
    writeBatchJob(job);
    writeFileSync(
      join(job, "elements.txt"),
      Buffer.concat([Buffer.from("e1\nbad1\n"), Buffer.from([0xff, 0xfe, 0x0a])]),
    );
    const first = await run();
    expect(first.code).toBe(3);
    expect(first.stderr).toContain("2 dead letter(s)");
    expect(first.stderr).toContain("test-batch-dead-letter.jsonl");
    const dead = lines("test-batch-dead-letter.jsonl").map((l) => JSON.parse(l) as Record<string, unknown>);
    expect(dead).toMatchObject([
      { element: "bad1", place: "elements.txt:2", reason: "it is bad", code: "ERROR", node: "work", attempts: 2 },
      { element: "", place: "elements.txt:3", code: "UNDECODABLE", bytes: "//4=" },
    ]);
    expect(lines("out/done-00000-of-00001.txt")).toEqual(["e1"]);
    const allowed = await run("--allow-dead-letters", "--json");
    expect(allowed.code).toBe(0);
    const events = allowed.stdout
      .split("\n")
      .slice(0, -1)
      .map((l) => JSON.parse(l) as Event);
    expect(illegalEvents(events)).toEqual([]);
    expect(events.find((e) => e.event === "summary")).toMatchObject({
      complete: true,
      elements: 3,
      outcomes: { "passed-through": 1, "dead-letter": 2 },
      dead_letters: "test-batch-dead-letter.jsonl",
    });
  });

  it("tries again what failed, when it is run again and dead letters are `none`", async () => {
    writeBatchJob(job, { more: "  delivery: {attempts: 1, dead_letter: none}\n" });
    writeElements(job, ["e1", "bad1"]);
    const first = await run();
    expect(first.code).toBe(4);
    expect(first.stderr).toContain("1 of 2 element(s): 1 processed, 1 failed");
    expect(first.stderr).toContain("run the job again and it goes on with the rest");
    const again = await run();
    expect(again.stderr).toContain("going on after 1 that an interrupted run was done with");
    expect(starts(job)).toEqual(
      new Map([
        ["e1", 1],
        ["bad1", 2],
      ]),
    );
  });

  it("says at once what is wrong with its files, and exits 1", async () => {
    writeBatchJob(job);
    const missing = await run();
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain(`no file is there: ${join(job, "elements.txt")}`);
    mkdirSync(join(job, "elements.txt"));
    expect((await run()).stderr).toContain("is a folder; its files are elements.txt/*");
    writeFileSync(join(job, "broken.gz"), gzipSync("a\nb\n").subarray(0, 20));
    const broken = await run("-O", "job_config.events.inputs.0.location=broken.gz");
    expect(broken.stderr).toMatch(/broken\.gz cannot be read: unexpected end of file/);
    writeElements(job, ["e1"], "ok.txt");
    mkdirSync(join(job, "out"));
    writeFileSync(join(job, "out/file"), "");
    const nowhere = await run(
      ...["-O", "job_config.events.inputs.0.location=ok.txt", "-O", "job_config.events.outputs.0.location=out/file/x"],
    );
    expect(nowhere.code).toBe(1);
    expect(nowhere.stderr).toMatch(/x-00000-of-00001\.txt cannot be written/);
    expect(await user.processesLeft()).toEqual([]);
  });

  it("of nothing writes empty files", async () => {
    writeBatchJob(job, { outputs: "[{type: file, location: out/done, header: id}]" });
    writeElements(job, []);
    const { code, stderr } = await run();
    expect(code).toBe(0);
    expect(stderr).toContain("0 element(s): none");
    expect(lines("out/done-00000-of-00001")).toEqual(["id"]);
  });

  it("is not run twice at the same time", async () => {
    writeBatchJob(job);
    writeElements(job, ["slow1", "slow2"]);
    const first = user.start(["job", "run", "--direct-runner"], job);
    await first.until("is ready");
    const second = await run();
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(/another process \(\d+ on .+\) is running test-batch through its files/);
    expect((await first.finished).code).toBe(0);
  });

  inTerminal("shows on a terminal how far it is, and a summary", async () => {
    writeBatchJob(job, { more: "  workers: {count: 1, concurrency: 1}\n" });
    writeElements(job, [...numbered(150), "bad1"]);
    const terminal = new Terminal(user.home, user.environment, { columns: 100, rows: 25 });
    try {
      const flags = "-O job_config.pause=30 -O job_config.delivery.attempts=1";
      terminal.run(
        `cd job && clear; node ${join(root, "bin/run.js")} job run --direct-runner ${flags}; echo "exit=$?"`,
      );
      await terminal.until(/█+░+ \d+\/151 · \d+ % · [\d.]+\/s · \d+ s left/);
      terminal.press("C-c");
      const stopped = await terminal.until("exit=4");
      // The bar goes with the job.
      expect(stopped).not.toContain("░");
      terminal.run(`clear; node ${join(root, "bin/run.js")} job run --direct-runner ${flags}; echo "exit=$?"`);
      const screen = await terminal.until("exit=3");
      expect(screen).not.toContain("░");
      expect(screen).toMatch(/going on after \d+ that an interrupted run was done with/);
      expect(screen).toMatch(/✘ bad1 dead-letter \(work\)/);
      expect(screen).toMatch(
        /✘ test-batch: 151 element\(s\): 150 processed, 1 dead letter\(s\), \d+ of them before in [\d.]+ s \(\d+\/s\)/,
      );
      expect(screen).toContain("→ out/done-00000-of-00001.txt");
    } finally {
      terminal.close();
    }
  });

  it("refuses to be watched", async () => {
    writeBatchJob(job);
    const { code, stderr } = await run("--watch");
    expect(code).toBe(1);
    expect(stderr).toContain("WATCH_BATCH");
  });
});

describe("a streaming job with a file among its inputs", () => {
  it("works through that once, and goes on receiving; another start does nothing of it again", async () => {
    const topic = "projects/test-project/topics/mixed-in";
    const inputs = `[{type: pubsub, name: messages, topic: ${topic}}, {type: file, name: list, location: elements.txt}]`;
    writeBatchJob(job, {
      streaming: true,
      inputs,
      outputs: "[{type: pubsub, topic: projects/test-project/topics/mixed-out}]",
    });
    writeElements(job, [...numbered(5), "bad1"]);
    const first = user.start(["job", "run", "--direct-runner", "--json"], job);
    await first.untilEvent({ event: "outcome", element: "bad1", outcome: "dead-letter" });
    const published = await user.klio(["message", "publish", "m1", "--wait"], job);
    expect(published.stdout, published.stderr).toContain("m1 processed");
    const origins = first
      .events()
      .flatMap((e) => (e.event === "outcome" ? [`${String(e["input"])} ${String(e["element"])}`] : []));
    expect(origins.sort()).toEqual(["list bad1", ...numbered(5).map((e) => `list ${e}`), "messages m1"]);
    expect((await first.stop()).code).toBe(0);
    const second = user.start(["job", "run", "--direct-runner", "--json"], job);
    expect(await second.untilEvent({ event: "gathered" })).toMatchObject({ elements: 6, done: 6 });
    await user.klio(["message", "publish", "m2", "--wait"], job);
    expect((await second.stop()).code).toBe(0);
    expect(starts(job).get("e1")).toBe(1);
    expect(illegalEvents(second.events())).toEqual([]);
  });
});

describe("a batch job that was interrupted", () => {
  it("by Ctrl-C finishes what is in hand, exits 4, and goes on with the rest", async () => {
    writeBatchJob(job, { more: "  workers: {count: 2, concurrency: 1}\n" });
    writeElements(job, numbered(400));
    const first = user.start(["job", "run", "--direct-runner", "-O", "job_config.pause=20"], job);
    while (starts(job).size < 50) await sleep(20);
    const { code, stderr } = await first.stop();
    expect(code).toBe(4);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(stderr).toMatch(/test-batch: \d+ of 400 element\(s\): \d+ processed/);
    const begun = starts(job).size;
    expect(begun).toBeLessThan(400);
    expect(existsSync(join(job, "out/done-00000-of-00001.txt"))).toBe(false);
    const second = await run();
    expect(second.code).toBe(0);
    expect(second.stderr).toMatch(/going on after \d+ that an interrupted run was done with/);
    expect([...starts(job).values()].every((n) => n === 1)).toBe(true);
    expect(lines("out/done-00000-of-00001.txt")).toEqual(numbered(400));
  });

  it.each([1, 2, 3])("by kill -9 of all its processes does nothing finished again (%i)", async (round) => {
    writeBatchJob(job);
    const elements = numbered(300);
    writeElements(job, elements);
    // Slow enough that it is not done when it is killed.
    const first = user.start(["job", "run", "--direct-runner", "--json", "-O", "job_config.pause=100"], job);
    while (first.stdout.split('"event":"outcome"').length < 40 * round) await sleep(5);
    for (const line of user.processes()) process.kill(Number(line.split(" ")[0]), "SIGKILL");
    await first.finished;
    // Noted as done before it was told.
    const told = first
      .events()
      .filter((e) => e.event === "outcome")
      .map((e) => String(e["element"]));
    const before = starts(job);
    // A line that was being written when the machine went down.
    writeFileSync(join(job, ".klio/batch/test-batch/journal.ndjson"), '{"n":29', { flag: "a" });
    const second = await run();
    expect(second.code, second.stderr).toBe(0);
    const after = starts(job);
    expect(told.filter((e) => after.get(e) !== before.get(e))).toEqual([]);
    expect(lines("out/done-00000-of-00001.txt")).toEqual(elements);
    expect(readdirSync(join(job, "out/objects")).filter((f) => f !== ".klio").length).toBe(300);
    expect(await user.processesLeft()).toEqual([]);
    expect(user.leftovers()).toEqual([]);
    expect(readdirSync(join(job, ".klio/run"))).toEqual([]);
  });

  it("goes on only with the same outputs: what is noted for others would be missing in them", async () => {
    writeBatchJob(job);
    writeElements(job, [...numbered(20), "slow1"]);
    const first = user.start(["job", "run", "--direct-runner"], job);
    while (!starts(job).has("slow1")) await sleep(20);
    await first.stop("SIGKILL");
    await user.processesLeft();
    const second = await run("-O", "job_config.events.outputs.0.name=other");
    expect(second.stderr).toContain("that an interrupted run was done with are done again");
    expect(lines("out/done-00000-of-00001.txt")).toEqual([...numbered(20), "slow1"]);
  });

  it("begins anew when its elements are others", async () => {
    writeBatchJob(job);
    writeElements(job, [...numbered(30), "slow1"]);
    const first = user.start(["job", "run", "--direct-runner"], job);
    while (!starts(job).has("slow1")) await sleep(20);
    await first.stop("SIGKILL");
    await user.processesLeft();
    writeElements(job, ["new1"]);
    const second = await run("--json");
    expect(second.stdout).toMatch(/"event":"gathered".*"done":0/);
    expect(second.stdout).toMatch(
      /"code":"BATCH_FORSAKEN".*\d+ element\(s\) that an interrupted run was done with are done again/,
    );
    // What exists passes.
    expect(starts(job).get("e1")).toBe(1);
    expect(lines("out/done-00000-of-00001.txt")).toContain("new1");
  });
});
