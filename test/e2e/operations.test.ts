import { existsSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isAlive } from "@klio/runtime/processes";
import { afterEach, describe, expect, it } from "vitest";
import { Rig, type RigOptions, root } from "../support/rig.js";

const job = join(root, "test/fixtures/jobs/operations");
let rig: Rig;

async function start(workers: string, options: Partial<RigOptions> = {}): Promise<Rig> {
  const delivery = "delivery: {attempts: 2, retry_delay: 50ms, ack_deadline: 10s, pause_after: 4, dead_letter: DEAD}";
  rig = await Rig.start({ job, jobConfig: `  workers: ${workers}\n  ${delivery}`, ...options });
  await rig.run();
  return rig;
}

afterEach(async () => {
  await rig.close();
});

function endpoint(): string {
  return String(rig.events.findLast((e) => e.event === "listening")?.["url"]);
}

async function get(path: string): Promise<{ status: number; body: string }> {
  const response = await fetch(`${endpoint()}${path}`);
  return { status: response.status, body: await response.text() };
}

/** A sample of Prometheus' text, by its name and some of its labels. */
async function sample(name: string, ...labels: readonly string[]): Promise<number | undefined> {
  const lines = (await get("/metrics")).body.split("\n");
  const line = lines.find((l) => /^\w+/.exec(l)?.[0] === name && labels.every((label) => l.includes(label)));
  return line === undefined ? undefined : Number(line.split(" ").at(-1));
}

describe("the endpoints of a job", () => {
  it("tell that it is well, ready, what it did, and what it has in hand", async () => {
    await start("{count: 2, concurrency: 2, limits: {gpu: 4}}", { environment: { SLOW_MS: "2000" } });
    expect(await get("/healthz")).toEqual({ status: 200, body: "ok\n" });
    expect(await get("/readyz")).toMatchObject({
      status: 200,
      body: expect.stringContaining('"ready":true') as string,
    });
    await rig.publish(["ok-1", "slow-1"]);
    await rig.untilDone(1);
    const { messages } = JSON.parse((await get("/in-flight")).body) as { messages: Record<string, unknown>[] };
    expect(messages).toMatchObject([
      { element: "slow-1", state: "running", node: "finish", attempts: 1, charged: 0, input: "pubsub0" },
    ]);
    expect(rig.workers()).toContain(messages[0]?.["pid"]);
    process.kill(rig.process.pid, "SIGUSR2");
    await rig.until(() => rig.events.some((e) => e.event === "in-flight"), "the list of what is in hand");
    await rig.untilDone(2);
    expect(await sample("klio_messages_received_total", 'input="pubsub0"')).toBe(2);
    expect(await sample("klio_messages_total", 'outcome="processed"')).toBe(2);
    expect(await sample("klio_attempts_total")).toBe(2);
    expect(await sample("klio_in_flight_messages")).toBe(0);
    expect(await sample("klio_ready")).toBe(1);
    expect(await sample("klio_transform_duration_seconds_count", 'node="finish"')).toBe(2);
    expect(await sample("klio_transform_duration_seconds_sum", 'node="finish"')).toBeGreaterThan(1.9);
    expect(await sample("klio_user_frames_total", 'codec="opus"', 'node="measure"')).toBe(4);
    expect((await get("/metrics")).body).toContain("# TYPE klio_user_frames_total counter");
    expect(await sample("klio_worker_memory_bytes", 'worker="1"')).toBeGreaterThan(10_000_000);
    const log = rig.events.find((e) => e.event === "log" && e["message"] === "measuring" && e["element"] === "ok-1");
    expect(log).toMatchObject({ node: "measure", job: "fault-job", attempt: 1, fields: { kind: "ok" } });
    expect(log?.["message_id"]).toBe(log?.["klio_id"]);
  });

  it("answer nobody who calls this machine by another name, and take nothing but GET", async () => {
    await start("{count: 1, limits: {gpu: 1}}");
    const status = await new Promise<number | undefined>((resolve) => {
      request(`${endpoint()}/metrics`, { headers: { host: "evil.example" } }, (r) => {
        resolve(r.resume().statusCode);
      }).end();
    });
    expect(status).toBe(403);
    expect((await fetch(`${endpoint()}/healthz`, { method: "POST" })).status).toBe(405);
    expect((await get("/nothing")).status).toBe(404);
  });

  it("say that it is not ready while it drains", async () => {
    await start("{count: 1, limits: {gpu: 1}}", { environment: { SLOW_MS: "3000" } });
    await rig.publish(["slow-1"]);
    await rig.until(() => rig.events.some((e) => e["message"] === "measuring"), "the message is worked on");
    const stopped = rig.stop();
    await rig.until(() => rig.events.some((e) => e.event === "draining"), "the job drains");
    expect(await get("/readyz")).toMatchObject({
      status: 503,
      body: expect.stringContaining('"state":"draining"') as string,
    });
    expect(await stopped).toBe(0);
    expect(rig.outcomes("processed")).toHaveLength(1);
  });
});

describe("a call that takes longer than its transform allows", () => {
  it.each(["hang", "spin"])("is ended with its worker and what it started: %s", async (kind) => {
    await start("{count: 1, concurrency: 2, limits: {gpu: 2}}");
    await rig.publish([`${kind}-1`, "ok-1"]);
    await rig.untilDone(2);
    expect(rig.outcomes("processed").map((o) => o["element"])).toEqual(["ok-1"]);
    expect(rig.outcomes("dead-letter")).toMatchObject([
      { element: `${kind}-1`, code: "TIMEOUT", charged: 2, node: "measure" },
    ]);
    const child = join(rig.folder, "child");
    if (kind === "hang") expect(isAlive(Number(readFileSync(child, "utf8")))).toBe(false);
    else expect(existsSync(child)).toBe(false);
  });
});

describe("a limit", () => {
  it("holds for all workers together, and what a dead worker held is free", async () => {
    await start("{count: 2, concurrency: 4, limits: {gpu: 1}}");
    await rig.publish(Array.from({ length: 8 }, (_, i) => `wait-${i}`));
    const notes = join(rig.folder, "gpu");
    await rig.until(() => existsSync(notes) && readFileSync(notes, "utf8").includes("\n"), "one is in");
    const holder = Number(/^\+ (\d+)\n/.exec(readFileSync(notes, "utf8"))?.[1]);
    process.kill(holder, "SIGKILL");
    await rig.untilDone(8);
    let inside = 0;
    let most = 0;
    const pids = new Set<string>();
    for (const line of readFileSync(join(rig.folder, "gpu"), "utf8").trim().split("\n")) {
      const [sign, pid = ""] = line.split(" ");
      if (pid === String(holder)) continue; // it did not leave in order
      pids.add(pid);
      inside += sign === "+" ? 1 : -1;
      most = Math.max(most, inside);
    }
    expect(most).toBe(1);
    expect(pids.size).toBeGreaterThan(1);
  });
});

describe("a job in which everything fails", () => {
  it("pauses, is not ready, charges nothing, and can be stopped", async () => {
    await start("{count: 1, concurrency: 4, limits: {gpu: 4}}");
    await rig.publish(Array.from({ length: 30 }, (_, i) => `bad-${i}`));
    await rig.until(() => rig.events.some((e) => e.event === "paused"), "the job pauses");
    await sleep(500);
    const dead = rig.outcomes("dead-letter").length;
    expect(dead).toBeLessThan(5);
    expect(await get("/readyz")).toMatchObject({
      status: 503,
      body: expect.stringContaining('"state":"paused"') as string,
    });
    await sleep(7_000); // beyond the first trial
    expect(rig.outcomes("dead-letter")).toHaveLength(dead);
    expect(await rig.stop()).toBe(0);
    expect(rig.acknowledged()).toBe(dead);
    const [first, last] = [
      rig.events.find((e) => e.event === "retry"),
      rig.events.findLast((e) => e.event === "retry"),
    ];
    expect(first).not.toHaveProperty("uncharged");
    expect(last).toMatchObject({ uncharged: true });
  });
});

describe("a job that finds no credentials", () => {
  it("says so, and how to get them, as its last event", async () => {
    rig = await Rig.start({ job, jobConfig: "  workers: {limits: {gpu: 1}}\n  delivery: {dead_letter: DEAD}" });
    const { exited } = await rig.run({
      ...{ PUBSUB_EMULATOR_HOST: undefined, STORAGE_EMULATOR_HOST: undefined, METADATA_SERVER_DETECTION: "none" },
      ...{ GOOGLE_APPLICATION_CREDENTIALS: undefined, HOME: rig.folder, CLOUDSDK_CONFIG: rig.folder },
    });
    expect(await exited).toBe(1);
    const hint = expect.stringContaining("gcloud auth application-default login") as string;
    expect(rig.events.at(-1)).toMatchObject({ event: "fatal", code: "PUBSUB_CREDENTIALS", message: hint });
    expect(rig.noise).toEqual([]);
  });
});

describe("a program that fails", () => {
  it("is named with the line that ran it", async () => {
    await start("{count: 1, limits: {gpu: 1}}");
    await rig.publish(["program-1"]);
    await rig.untilDone(1);
    const stack = String(rig.outcomes("dead-letter")[0]?.["stack"]);
    expect(stack).toMatch(/^ExecError: ls there-is-no-such-file failed with exit code 2\n/);
    expect(stack).toMatch(/\n {4}at .*src\/run\.ts:\d+:/);
  });
});

describe("OpenTelemetry", () => {
  it("gets a trace that goes on across jobs, and the metrics of supervisor and code", async () => {
    await start("{count: 1, limits: {gpu: 1}}", {
      environment: { NODE_OPTIONS: `--import ${join(root, "test/fixtures/telemetry.mjs")}` },
    });
    const file = join(rig.folder, "telemetry.ndjson");
    const traceId = "0af7651916cd43dd8448eb211c80319c";
    await rig.publish(["ok-1"], { attributes: { googclient_traceparent: `00-${traceId}-b7ad6b7169203331-01` } });
    await rig.untilDone(1);
    const lines = () =>
      readFileSync(file, "utf8")
        .trim()
        .split("\n")
        .map((l) => JSON.parse(l) as Record<string, unknown>);
    await rig.until(() => lines().some((l) => l["metric"] === "klio_messages_total"), "the supervisor's metrics");
    await rig.until(() => lines().some((l) => l["metric"] === "frames"), "the code's metrics");
    const spans = lines().filter((l) => l["span"] !== undefined);
    const message = spans.find((s) => s["span"] === "process fault-job");
    expect(message).toMatchObject({ traceId, parent: "b7ad6b7169203331", attributes: { "klio.element": "ok-1" } });
    const nodes = spans.filter((s) => s["parent"] === message?.["spanId"]);
    expect(nodes.map((s) => s["span"])).toEqual(["measure", "finish"]);
    const [out] = rig.of("publish", "fault-out");
    expect(out?.attributes["googclient_traceparent"]).toBe(`00-${traceId}-${String(message?.["spanId"])}-01`);
  });

  it("is not needed for a trace to go on", async () => {
    await start("{count: 1, limits: {gpu: 1}}");
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    await rig.publish(["ok-1"], { attributes: { googclient_traceparent: traceparent } });
    await rig.untilDone(1);
    expect(rig.of("publish", "fault-out")[0]?.attributes["googclient_traceparent"]).toBe(traceparent);
  });
});

describe("a teardown that throws", () => {
  it.each(["{count: 1, limits: {gpu: 1}}", "{mode: inline, limits: {gpu: 1}}"])(
    "is logged with its node, and keeps no other from running: %s",
    async (workers) => {
      await start(workers, { environment: { TEARDOWN: "fails" } });
      await rig.publish(["ok-1"]);
      await rig.untilDone(1);
      expect(await rig.stop()).toBe(0);
      expect(readFileSync(join(rig.folder, "torn-down"), "utf8")).toMatch(/^\d+\n$/);
      const logged = rig.events
        .filter((e) => e.event === "log" && e["severity"] === "WARNING")
        .map((e) => e["message"]);
      expect(logged).toContain("teardown of node measure failed: Error: the model does not close");
    },
  );
});

describe("an inline job", () => {
  it("runs without worker processes, retries, dead-letters, and gives up calls that do not end", async () => {
    await start("{mode: inline, concurrency: 8, limits: {gpu: 8}}");
    await rig.publish(["ok-1", "bad-1", "hang-1", "ok-2"]);
    await rig.untilDone(4);
    const outcomes: Record<string, unknown> = Object.fromEntries(
      rig.outcomes().map((o) => [o["element"], o["code"] ?? o["outcome"]]),
    ) as Record<string, unknown>;
    expect(outcomes).toEqual({ "ok-1": "processed", "ok-2": "processed", "bad-1": "ERROR", "hang-1": "TIMEOUT" });
    expect(await sample("klio_ready")).toBe(1);
    expect(await rig.stop()).toBe(0);
    expect(rig.outcomes("dead-letter").find((o) => o["element"] === "bad-1")?.["stack"]).toMatch(/src\/run\.ts:\d+:/);
  });

  it.each(["{mode: inline, concurrency: 8, limits: {gpu: 8}}", "{count: 1, concurrency: 8, limits: {gpu: 8}}"])(
    "cuts what its code logs at the same length as one with workers: %s",
    async (workers) => {
      await start(workers);
      await rig.publish(["wordy-1"]);
      await rig.untilDone(1);
      const logged = rig.events.filter(
        (e) => e.event === "log" && e["element"] === "wordy-1" && e["node"] === "finish",
      );
      expect(logged.map((e) => e["message"])).toEqual([`${"w".repeat(65_536)}… (100000 characters)`]);
    },
  );

  it("tells that user code ended it", async () => {
    await start("{mode: inline, concurrency: 8, limits: {gpu: 8}}");
    await rig.publish(["exit-1"]);
    expect(await rig.process.exited).toBe(7);
    expect(rig.noise).toEqual(["process.exit(7) was called amid the job: inline, that ends it"]);
  });
});
