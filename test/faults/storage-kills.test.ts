import { createHash, randomInt } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EmulatorProcess } from "../support/emulator-process.js";
import { seededRandom } from "../support/random.js";
import { freePort } from "../support/targets.js";

const kills = process.env["KLIO_SOAK"] === "1" ? 200 : 15;
const buckets = ["plain", "versioned"] as const;
type BucketName = (typeof buckets)[number];
const writers = 6;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "klio-kills-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** The bytes of a version: their length and content follow from its number. */
function bytesOf(version: number): Buffer {
  const block = createHash("sha256").update(String(version)).digest();
  const length = (version * 7_919) % 300_000;
  return Buffer.alloc(length, block);
}

/** What the objects of one writer may be: a version each, or none; several where a request was under way at the kill. */
type State = ReadonlyMap<string, number>;

class Writer {
  /** What is known to hold, or one of these after a kill. */
  possible: State[] = [new Map()];
  /** Confirmed generations in the bucket with versions. */
  readonly generations = new Map<string, { readonly name: string; readonly version: number }>();

  constructor(
    readonly id: number,
    readonly bucket: BucketName,
    readonly random: () => number,
    readonly nextVersion: () => number,
  ) {}

  /** One name is a folder of the others, so that files and folders change places. */
  get names(): string[] {
    const top = `w${this.id}`;
    return [top, `${top}/a`, `${top}/a/b`, `${top}/b`, `${top}/${"long ".repeat(80)}`];
  }

  #pick<T>(all: readonly T[]): T {
    return all[Math.floor(this.random() * all.length)] as T;
  }

  /** Changes objects until the emulator is gone. */
  async work(url: string): Promise<void> {
    for (;;) {
      const [state = new Map<string, number>()] = this.possible;
      const { after, request } = this.#change(url, state);
      this.possible = [state, after];
      try {
        const answer = await request();
        if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
        const body = await answer.text();
        this.possible = [after];
        this.#confirm(body);
      } catch (error) {
        if (error instanceof TypeError || (error as { code?: string }).code === "ECONNRESET") return; // killed
        throw error;
      }
    }
  }

  #confirm(body: string): void {
    if (this.bucket !== "versioned" || body === "") return;
    const { name, generation, metadata } = JSON.parse(body) as Record<string, string> & {
      metadata: { version: string };
    };
    this.generations.set(String(generation), { name: String(name), version: Number(metadata.version) });
  }

  #change(url: string, state: State) {
    const there = [...state.keys()];
    const name = this.#pick(this.names);
    const at = (object: string) => `${url}/storage/v1/b/${this.bucket}/o/${encodeURIComponent(object)}`;
    const kind = this.random();
    const from = this.#pick(there);
    if (there.length > 0 && kind < 0.15) {
      return { after: without(state, from), request: () => fetch(at(from), { method: "DELETE" }) };
    }
    if (there.length > 0 && kind < 0.4 && from !== name && this.bucket === "plain") {
      const after = new Map(without(state, from)).set(name, state.get(from) ?? 0);
      return { after, request: () => fetch(`${at(from)}/moveTo/o/${encodeURIComponent(name)}`, { method: "POST" }) };
    }
    const version = this.nextVersion();
    const after = new Map(state).set(name, version);
    return {
      after,
      request: () => (kind < 0.7 ? this.#whole(url, name, version) : this.#resumable(url, name, version)),
    };
  }

  #whole(url: string, name: string, version: number): Promise<Response> {
    const resource = JSON.stringify({ name, metadata: { version: String(version) } });
    const head = `--x\r\ncontent-type: application/json\r\n\r\n${resource}\r\n--x\r\ncontent-type: a/b\r\n\r\n`;
    const body = Buffer.concat([Buffer.from(head), bytesOf(version), Buffer.from("\r\n--x--\r\n")]);
    const headers = { "content-type": "multipart/related; boundary=x" };
    const path = `${url}/upload/storage/v1/b/${this.bucket}/o?uploadType=multipart`;
    return fetch(path, { method: "POST", headers, body });
  }

  async #resumable(url: string, name: string, version: number): Promise<Response> {
    const bytes = bytesOf(version);
    const body = JSON.stringify({ name, metadata: { version: String(version) } });
    const path = `${url}/upload/storage/v1/b/${this.bucket}/o?uploadType=resumable`;
    const begun = await fetch(path, { method: "POST", body });
    const location = begun.headers.get("location") ?? "";
    const half = Math.floor(bytes.length / 2);
    const put = (first: number, last: number, total: string) =>
      fetch(location, {
        method: "PUT",
        headers: { "content-range": last < first ? `bytes */${total}` : `bytes ${first}-${last}/${total}` },
        body: bytes.subarray(first, last + 1),
        redirect: "manual",
      });
    if (half > 0) await put(0, half - 1, "*");
    return put(half, bytes.length - 1, String(bytes.length));
  }

  /** Reads everything back: each object is whole and as one of the possible states has it. */
  async check(url: string): Promise<void> {
    const found = new Map<string, number>();
    for (const name of this.names) {
      const version = await read(url, this.bucket, name);
      if (version !== undefined) found.set(name, version);
    }
    const same = this.possible.find((state) => describeState(state) === describeState(found));
    expect(same, `${describeState(found)} is one of ${this.possible.map(describeState).join(" or ")}`).toBeDefined();
    this.possible = [found];
    for (const [generation, { name, version }] of this.generations) {
      expect(await read(url, this.bucket, name, generation)).toBe(version);
    }
  }
}

const describeState = (state: State) => JSON.stringify([...state].sort(([a], [b]) => (a < b ? -1 : 1)));

function without(state: State, name: string): State {
  return new Map([...state].filter(([key]) => key !== name));
}

/** The version of an object, whose bytes and metadata must agree. Undefined when it is not there. */
async function read(url: string, bucket: string, name: string, generation = ""): Promise<number | undefined> {
  const path = `${url}/storage/v1/b/${bucket}/o/${encodeURIComponent(name)}?generation=${generation}`;
  const described = await fetch(path);
  if (described.status === 404) return undefined;
  const { metadata, md5Hash } = (await described.json()) as { metadata?: { version: string }; md5Hash: string };
  const bytes = Buffer.from(await (await fetch(`${path}&alt=media`)).arrayBuffer());
  const version = Number(metadata?.version);
  expect(bytes.equals(bytesOf(version)), `${bucket}/${name} is whole`).toBe(true);
  expect(createHash("md5").update(bytes).digest("base64")).toBe(md5Hash);
  return version;
}

/** All files below a folder. */
async function filesIn(path: string): Promise<string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((e) => e.isFile()).map((e) => join(e.parentPath, e.name));
}

/** Nothing lies in the staging area, and every record belongs to an object. */
async function expectNoOrphans(root: string): Promise<void> {
  expect(await filesIn(join(root, ".klio/staging"))).toEqual([]);
  for (const bucket of buckets) {
    const objects = await filesIn(join(root, bucket));
    expect(await filesIn(join(root, ".klio/records", bucket))).toHaveLength(objects.length);
    const versions = await filesIn(join(root, ".klio/versions", bucket));
    expect(versions.filter((f) => f.endsWith(".json"))).toHaveLength(versions.length / 2);
  }
}

describe("kill -9 of the Cloud Storage emulator during uploads, renames and deletes", () => {
  it(
    `leaves every object whole or absent, and nothing behind, in ${kills} kills`,
    async () => {
      const seed = randomInt(2 ** 31);
      console.log(`seed ${seed}`);
      const random = seededRandom(seed);
      const options = { root: join(folder, "root"), port: await freePort() };
      let version = 0;
      const next = () => (version += 1);
      const all = Array.from({ length: writers }, (_, i) => new Writer(i, buckets[i % 2] ?? "plain", random, next));
      for (let kill = 0; kill < kills; kill += 1) {
        const emulator = await EmulatorProcess.start(folder, options, "startStorage");
        if (kill === 0) await createBuckets(emulator.address);
        await expectNoOrphans(options.root);
        for (const writer of all) await writer.check(emulator.address);
        const working = Promise.all(all.map((writer) => writer.work(emulator.address)));
        await sleep(20 + random() * 150);
        await emulator.end("SIGKILL");
        await working;
      }
      const emulator = await EmulatorProcess.start(folder, options, "startStorage");
      await expectNoOrphans(options.root);
      for (const writer of all) await writer.check(emulator.address);
      await emulator.end("SIGTERM");
      const kept = all.reduce((sum, { generations }) => sum + generations.size, 0);
      console.log(`${version} versions written, ${kept} kept as such`);
      expect(version).toBeGreaterThan(kills * 3);
    },
    30 * 60_000,
  );
});

async function createBuckets(url: string): Promise<void> {
  for (const name of buckets) {
    const body = JSON.stringify({ name, versioning: { enabled: name === "versioned" } });
    expect((await fetch(`${url}/storage/v1/b?project=p`, { method: "POST", body })).status).toBe(200);
  }
}
