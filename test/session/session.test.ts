import { type AddressInfo, createServer, type Server } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { defaultOptions, findSession, joinSession, type Session, type SessionKey } from "../../src/session/index.js";
import { User } from "../support/klio.js";
import { root } from "../support/rig.js";

const entry = join(root, "dist/session.cjs");
let user: User;
let key: SessionKey;

beforeEach(async () => {
  user = await User.create();
  key = {
    project: "session-project",
    name: undefined,
    stateHome: join(user.home, ".local/state"),
    temporary: join(user.home, "tmp"),
  };
  process.env["HOME"] = user.home; // by which the session's process is known as this user's
});

afterEach(() => user.remove());

describe("a local session", () => {
  it("is one, however many start it at once", async () => {
    const sessions = await Promise.all(Array.from({ length: 8 }, () => joinSession(key, entry)));
    expect(new Set(sessions.map((s) => s.instance)).size).toBe(1);
    // Those that gave way are on their way out.
    const end = Date.now() + 30_000;
    while (user.processes().length > 1 && Date.now() < end) await sleep(50);
    expect(user.processes()).toHaveLength(1);
    for (const session of sessions) session.leave();
    expect(await user.processesLeft()).toEqual([]);
    expect(user.leftovers()).toEqual([]);
  });

  it("ends with its last client, whoever leaves first", async () => {
    const first = await joinSession(key, entry);
    const second = await joinSession(key, entry);
    first.leave();
    await sleep(500);
    expect((await findSession(key))?.instance).toBe(second.instance);
    second.leave();
    expect(await user.processesLeft()).toEqual([]);
    expect(await findSession(key)).toBeUndefined();
  });

  it("is started anew after its process was killed, and sweeps what that left", async () => {
    for (let i = 0; i < 5; i += 1) {
      const sessions = await Promise.all(Array.from({ length: 4 }, () => joinSession(key, entry)));
      expect(new Set(sessions.map((s) => s.instance)).size).toBe(1);
      const gone = new Promise<void>((resolve) => sessions[0]?.onGone(resolve));
      for (const line of user.processes()) process.kill(Number(line.split(" ")[0]), "SIGKILL");
      await gone;
      for (const session of sessions) session.leave();
    }
    const session = await joinSession(key, entry);
    session.leave();
    expect(await user.processesLeft()).toEqual([]);
    expect(user.leftovers()).toEqual([]);
  });

  it("that is stopped is not taken for dead", async () => {
    const session = await joinSession(key, entry);
    const [pid = 0] = user.processes().map((line) => Number(line.split(" ")[0]));
    process.kill(pid, "SIGSTOP");
    await expect(joinSession(key, entry)).rejects.toThrow("does not answer");
    await expect(findSession(key)).rejects.toThrow("does not answer");
    process.kill(pid, "SIGCONT");
    expect((await findSession(key))?.instance).toBe(session.instance);
    session.leave();
    expect(await user.processesLeft()).toEqual([]);
  });

  it("says at once why it cannot start", async () => {
    const started = Date.now();
    const { writeFileSync } = await import("node:fs");
    const broken = join(user.home, "broken.cjs");
    writeFileSync(broken, 'throw new Error("cannot");');
    await expect(joinSession(key, broken)).rejects.toThrow("did not start");
    expect(Date.now() - started).toBeLessThan(10_000);
  });

  it("is another for another project, and for another KLIO_SESSION", async () => {
    const sessions: Session[] = await Promise.all([
      joinSession(key, entry),
      joinSession({ ...key, project: "other-project" }, entry),
      joinSession({ ...key, name: "mine" }, entry),
    ]);
    expect(new Set(sessions.map((s) => s.instance)).size).toBe(3);
    expect(new Set(sessions.map((s) => s.root)).size).toBe(3);
    for (const session of sessions) session.leave();
    expect(await user.processesLeft()).toEqual([]);
  });

  it("takes a free port when the usual one is taken, and says so", async () => {
    // Whoever else has the usual ones may let go of them at any moment: it wants two that are this test's own.
    expect(defaultOptions).toMatchObject({ pubsubPort: 8085, storagePort: 9199 });
    const taken = await Promise.all([occupy(), occupy()]);
    const [pubsubPort = 0, storagePort = 0] = taken.map((server) => (server.address() as AddressInfo).port);
    const session = await joinSession(key, entry, { ...defaultOptions, pubsubPort, storagePort });
    expect(session.moved).toEqual([`Pub/Sub: ${pubsubPort}`, `Cloud Storage: ${storagePort}`]);
    expect(session.pubsub).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(session.pubsub).not.toBe(`127.0.0.1:${pubsubPort}`);
    session.leave();
    for (const server of taken) server.close();
    await user.processesLeft();
  });

  it("works where the state directory's path is too long for a socket", async () => {
    const long = { ...key, stateHome: join(user.home, "x".repeat(120)) };
    const session = await joinSession(long, entry);
    expect((await findSession(long))?.instance).toBe(session.instance);
    session.leave();
    expect(await user.processesLeft()).toEqual([]);
    expect(user.leftovers()).toEqual([]);
  });
});

/** Takes a port that nobody has. */
function occupy(): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      resolve(server);
    });
  });
}
