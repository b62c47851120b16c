import { createHash, randomInt } from "node:crypto";
import { once, setMaxListeners } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type FaultEvent,
  startStorage,
  type StorageEmulator,
  type StorageEvent,
  type StorageFaultKind,
  type StorageFaults,
} from "@klio/emulators";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { GcsStore } from "../../packages/runtime/src/objects/gcs-store.js";
import { isStorageTrouble, StorageError } from "../../packages/runtime/src/objects/storage-error.js";
import type { ObjectPath } from "../../packages/runtime/src/objects/store.js";
import { judge, uploadOnce } from "../../packages/runtime/src/objects/upload-rule.js";
import { seededRandom } from "../support/random.js";
import { StorageProxy } from "../support/storage-proxy.js";

// The store that workers use, against the emulator with its faults: bytes always equal, no object in part, one commit each.
const { signal } = new AbortController();
setMaxListeners(0, signal);
const soak = process.env["KLIO_SOAK"] !== undefined;
const rounds = soak ? 300 : 15;
/** Each download that stalls costs its client's patience. */
const timeoutMs = soak ? 600_000 : 180_000;
const kibi = 1024;
/**
 * Objects of a few hundred kibibytes go up in pieces and down in parts, and a fault is over in no time. A piece that is refused costs
 * two requests or more, each of which may be refused as well: where every third one is, a dozen in a row fail in one run of fifty.
 */
const limits = {
  tries: 30,
  firstDelayMs: 1,
  maxDelayMs: 4,
  stallMs: 400,
  downloads: 12,
  progressBytes: 64 * kibi,
  partBytes: 100 * kibi,
  pieceBytes: 256 * kibi,
};
const all = Buffer.concat(Array.from({ length: 30_000 }, (_, n) => createHash("sha256").update(`${n}`).digest()));
const writing = (ifGenerationMatch = "0") => ({ ifGenerationMatch, by: ["1"], contentType: "a/b" });

let folder: string;
let emulator: StorageEmulator;
let store: GcsStore;
let struck: FaultEvent<StorageFaultKind>[];
let events: StorageEvent[];
let files = 0;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "klio-object-faults-"));
  struck = [];
  events = [];
  emulator = await startStorage({
    root: join(folder, "root"),
    onFault: (event) => struck.push(event),
    observe: (event) => events.push(event),
  });
  await fetch(`${emulator.url}/storage/v1/b?project=p`, { method: "POST", body: '{"name":"faulty"}' });
  store = new GcsStore({ project: "p", emulator: emulator.url, limits });
});

afterEach(async () => {
  await emulator.close();
  await rm(folder, { recursive: true });
});

const at = (name: string): ObjectPath => ({ bucket: "faulty", name });
const commits = (name: string) => events.filter((event) => event.kind === "commit" && event.name === name).length;
const failed = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "nothing failed",
    (error: unknown) => error,
  );
const staged = () => readdir(join(folder, "root/.klio/staging"));

async function* stream(data: Buffer, cut = 50_000): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < data.length; from += cut) yield await Promise.resolve(data.subarray(from, from + cut));
}

/** As an attempt does it. */
async function put(name: string, data: Buffer, asStream: boolean) {
  const request = { id: "1", force: false };
  const finding = judge(await store.stat(at(name), signal), request);
  const how = { finding, request, contentType: "a/b" };
  return uploadOnce(store, at(name), asStream ? stream(data) : data, how, signal);
}

async function download(name: string): Promise<Buffer> {
  const file = join(folder, `file-${(files += 1)}`);
  await store.download(at(name), file, signal);
  return readFile(file);
}

const ways = {
  read: async (name: string) => Buffer.from(await store.read(at(name), signal)),
  open: async (name: string) => buffer(await store.open(at(name), signal)),
  file: download,
};
const sizes = [10, 70_000, 300_000, 900_000];

describe("an object is written once and whole, and read as it is", () => {
  const faults: readonly (readonly [StorageFaultKind, StorageFaults])[] = [
    ["requestTimeout", { requestTimeout: 0.3 }],
    ["tooManyRequests", { tooManyRequests: 0.3 }],
    ["internalError", { internalError: 0.3 }],
    ["serviceUnavailable", { serviceUnavailable: 0.3 }],
    ["resetUpload", { resetUpload: 0.3, afterBytes: 5_000 }],
    ["resetDownload", { resetDownload: 0.4, afterBytes: 5_000 }],
    ["resetDownload", { resetDownload: 0.4, afterBytes: 0 }],
    ["truncateDownload", { truncateDownload: 0.4, afterBytes: 5_000 }],
    ["truncateDownload", { truncateDownload: 0.4, afterBytes: 0 }],
    ["stallDownload", { stallDownload: 0.08, afterBytes: 5_000, stallMs: 60_000 }],
    ["delayReply", { delayReply: 0.08, delayMs: 60_000 }],
    ["loseReply", { loseReply: 0.4 }],
  ];

  it.each(faults)(
    "whatever strikes: %s %o",
    async (kind, wanted) => {
      const seed = Number(process.env["KLIO_SEED"] ?? randomInt(2 ** 31));
      console.log(`${kind}: KLIO_SEED=${seed}`);
      emulator.setFaults({ seed, ...wanted });
      // What strikes only uploads has few of them to strike.
      for (let i = 0; i < rounds || (struck.length <= 3 && i < 20 * rounds); i += 1) {
        const data = all.subarray(i, i + (sizes[i % sizes.length] ?? 0));
        const name = `object-${i}`;
        await put(name, data, i % 3 !== 0);
        expect(commits(name)).toBe(1);
        for (const [way, read] of Object.entries(ways)) {
          expect((await read(name)).equals(data), `${way} of ${data.length} bytes`).toBe(true);
        }
      }
      console.log(`${kind} struck ${struck.length} times`);
      expect(struck.length).toBeGreaterThan(3);
      expect(events.every((event) => event.kind === "commit")).toBe(true);
      await expect.poll(staged).toEqual([]);
    },
    timeoutMs,
  );

  it("when a download is corrupted: it comes anew, and a stream ends with an error", async () => {
    const seed = Number(process.env["KLIO_SEED"] ?? randomInt(2 ** 31));
    console.log(`corruptDownload: KLIO_SEED=${seed}`);
    let refused = 0;
    // How many streams are refused is a matter of chance: on goes the search for the first.
    for (let i = 0; i < rounds || (refused === 0 && i < 20 * rounds); i += 1) {
      const data = all.subarray(i, i + (sizes[i % sizes.length] ?? 0));
      await store.write(at(`object-${i}`), data, writing(), signal);
      // A large one comes in ten parts, each of which may be the wrong one.
      emulator.setFaults({ seed: seed + i, corruptDownload: 0.04 });
      for (const read of [ways.read, ways.file]) expect((await read(`object-${i}`)).equals(data)).toBe(true);
      emulator.setFaults({ seed: seed + i, corruptDownload: 0.5 });
      const opened = await ways.open(`object-${i}`).catch((error: unknown) => error);
      if (Buffer.isBuffer(opened)) {
        expect(opened.equals(data)).toBe(true);
      } else {
        expect(opened).toMatchObject({ code: "STORAGE_CHECKSUM" });
        expect(isStorageTrouble(opened)).toBe(true);
        refused += 1;
      }
      emulator.setFaults({});
    }
    console.log(`struck ${struck.length} times; ${refused} streams refused`);
    expect(refused).toBeGreaterThan(0);
  });

  it("when everything strikes at once", async () => {
    const seed = Number(process.env["KLIO_SEED"] ?? randomInt(2 ** 31));
    console.log(`all faults: KLIO_SEED=${seed}`);
    const random = seededRandom(seed);
    const rate = 0.05;
    emulator.setFaults({
      seed,
      ...{ requestTimeout: rate, tooManyRequests: rate, internalError: rate, serviceUnavailable: rate },
      ...{ resetUpload: rate, resetDownload: rate, truncateDownload: rate, loseReply: rate },
      ...{ stallDownload: rate / 10, stallMs: 60_000, afterBytes: 20_000 },
    });
    const work = async (n: number) => {
      for (let i = 0; i < rounds; i += 1) {
        const from = Math.floor(random() * 1_000);
        const data = all.subarray(from, from + Math.floor(random() * 800_000));
        const name = `object-${n}-${i}`;
        await put(name, data, random() < 0.7);
        expect(commits(name)).toBe(1);
        const [, read = ways.read] = Object.entries(ways)[Math.floor(random() * 3)] ?? [];
        expect((await read(name)).equals(data)).toBe(true);
      }
    };
    await Promise.all([0, 1, 2, 3].map(work));
    console.log(`struck ${struck.length} times`);
    expect(new Set(struck.map((event) => event.fault)).size).toBeGreaterThan(5);
  });
});

describe("a storage that does not answer", () => {
  const lost: readonly (readonly [string, StorageFaults, string])[] = [
    ["refuses everything", { serviceUnavailable: 1 }, "HTTP_503"],
    ["breaks every connection", { resetDownload: 1, resetUpload: 1, afterBytes: 0 }, "ECONNRESET"],
    ["cuts everything short", { truncateDownload: 1, afterBytes: 0, serviceUnavailable: 0 }, "STORAGE_TRUNCATED"],
  ];

  it.each(lost)("is told from the job's own errors when it %s", async (_, wanted, code) => {
    await store.write(at("there"), all, writing(), signal);
    emulator.setFaults(wanted);
    for (const read of Object.values(ways)) {
      const error = await failed(read("there"));
      expect(error).toMatchObject({ name: "StorageError", code });
      expect(isStorageTrouble(new Error("what the job makes of it", { cause: error }))).toBe(true);
    }
    if (code !== "STORAGE_TRUNCATED") {
      for (const data of [all.subarray(0, 10), stream(all)]) {
        expect(isStorageTrouble(await failed(store.write(at("new"), data, writing(), signal)))).toBe(true);
      }
    }
    emulator.setFaults({});
    expect(await store.stat(at("new"), signal)).toBeUndefined();
    expect(isStorageTrouble(new Error("its own"))).toBe(false);
  });

  it("is given up at once when the signal aborts, also between two tries", async () => {
    const patient = new GcsStore({ project: "p", emulator: emulator.url, limits: { firstDelayMs: 600_000 } });
    await store.write(at("there"), all, writing(), signal);
    emulator.setFaults({ serviceUnavailable: 1 });
    const abort = new AbortController();
    const doings = [
      patient.stat(at("there"), abort.signal),
      patient.read(at("there"), abort.signal),
      patient.open(at("there"), abort.signal),
      patient.download(at("there"), join(folder, "never"), abort.signal),
      patient.write(at("new"), "x", writing(), abort.signal),
      patient.write(at("new"), stream(all), writing(), abort.signal),
    ];
    await expect.poll(() => struck.length).toBeGreaterThanOrEqual(doings.length);
    abort.abort(new Error("enough"));
    for (const result of await Promise.allSettled(doings)) {
      expect(result).toMatchObject({ status: "rejected", reason: { message: "enough" } });
    }
  });

  it("that takes no part in the error of a source leaves it the job's own", async () => {
    async function* breaking() {
      yield* stream(all);
      throw new Error("the source broke");
    }
    const error = await failed(store.write(at("new"), breaking(), writing(), signal));
    expect(error).toMatchObject({ message: "the source broke" });
    expect(isStorageTrouble(error)).toBe(false);
  });

  it("keeps no stream that is left while it waits for bytes", async () => {
    const patient = new GcsStore({ project: "p", emulator: emulator.url });
    await store.write(at("there"), all, writing(), signal);
    emulator.setFaults({ stallDownload: 1, afterBytes: 10, stallMs: 600_000 });
    const stream = await patient.open(at("there"), signal);
    await once(stream, "data");
    await new Promise((resolve) => setImmediate(resolve)); // by then it asks for more
    stream.destroy();
    await expect.poll(() => stream.closed).toBe(true);
  });

  it("that breaks one download leaves the others alone", async () => {
    await store.write(at("there"), all, writing(), signal);
    const others = Promise.all(Array.from({ length: 20 }, () => ways.open("there")));
    for (let i = 0; i < 20; i += 1) {
      const left = await store.open(at("there"), signal);
      for await (const _ of left) break;
    }
    for (const other of await others) expect(other.equals(all)).toBe(true);
  });
});

describe("what a network does to objects", () => {
  let proxy: StorageProxy;
  beforeEach(async () => {
    proxy = await StorageProxy.start(emulator.url);
    store = new GcsStore({ project: "p", emulator: proxy.url, limits });
  });
  afterEach(async () => {
    await proxy.close();
  });

  const isUpload = (url: string) => url.startsWith("/upload/");
  /** Changes a byte of what is sent: one near the end, where the object's bytes are. */
  function changed(body: Buffer): Buffer {
    const copy = Buffer.from(body);
    const place = Math.max(0, copy.length - 100);
    copy[place] = (copy[place] ?? 0) ^ 1;
    return copy;
  }

  it("small objects that were corrupted on their way are refused by the service, and sent again", async () => {
    let times = 3;
    proxy.meddling.request = (passing) => {
      if (!isUpload(passing.url) || (times -= 1) < 0) return passing;
      return { ...passing, body: changed(passing.body) };
    };
    await store.write(at("small"), all.subarray(0, 1_000), writing(), signal);
    expect((await ways.read("small")).equals(all.subarray(0, 1_000))).toBe(true);
    expect(commits("small")).toBe(1);
  });

  it("large ones are refused as well, and never become an object", async () => {
    proxy.meddling.request = (passing) =>
      isUpload(passing.url) && passing.method === "PUT" && passing.body.length > 0
        ? { ...passing, body: changed(passing.body) }
        : passing;
    const error = await failed(store.write(at("large"), stream(all), writing(), signal));
    expect(error).toMatchObject({ code: "STORAGE_CHECKSUM" });
    expect(isStorageTrouble(error)).toBe(true);
    expect(events).toEqual([]);
    await expect.poll(staged).toEqual([]);
  });

  it("one that was stored all the same is taken back, that one alone", async () => {
    proxy.meddling.request = (passing) => {
      if (!isUpload(passing.url) || passing.method !== "PUT" || passing.body.length === 0) return passing;
      const { "x-goog-hash": _, ...headers } = passing.headers;
      return { ...passing, headers, body: changed(passing.body) };
    };
    const error = await failed(store.write(at("large"), stream(all), writing(), signal));
    expect(error).toMatchObject({ code: "STORAGE_CHECKSUM" });
    expect(isStorageTrouble(error)).toBe(true);
    expect(await store.stat(at("large"), signal)).toBeUndefined();
    expect(events.map((event) => event.kind)).toEqual(["commit", "delete"]);
    const [deletion] = proxy.passed.filter((passing) => passing.method === "DELETE" && !isUpload(passing.url));
    expect(deletion?.url).toContain(`ifGenerationMatch=${events[0]?.generation ?? ""}`);
  });

  it("a source is not waited for once its upload has failed", async () => {
    proxy.meddling.answer = (passed, passing) => (passing.method === "PUT" ? { ...passed, status: 503 } : passed);
    let asleep = false;
    // The first piece is full, and for the second one it would take an hour.
    async function* slow() {
      yield await Promise.resolve(all.subarray(0, limits.pieceBytes + 1));
      asleep = true;
      await sleep(3_600_000, undefined, { ref: false });
    }
    expect(await failed(store.write(at("large"), slow(), writing(), signal))).toMatchObject({ code: "HTTP_503" });
    expect(asleep).toBe(true);
    expect(events).toEqual([]);
  });

  it("one whose answer alone is wrong stays", async () => {
    proxy.meddling.answer = (passed, passing) =>
      isUpload(passing.url) && passed.status === 200
        ? { ...passed, body: Buffer.from(passed.body.toString().replace(/"crc32c":"...."?/, '"crc32c":"AAAA')) }
        : passed;
    await store.write(at("small"), "hello", writing(), signal);
    expect(events.map((event) => event.kind)).toEqual(["commit"]);
    expect((await ways.read("small")).toString()).toBe("hello");
  });

  it("an answer that never comes is not waited for: the request is sent again", async () => {
    let swallowed = 0;
    // Each request once.
    const seen = new Set<string>();
    proxy.meddling.request = (passing) => {
      const key = `${passing.method} ${passing.url.replace(/upload_id=.*/, "")} ${passing.headers["content-range"] ?? ""}`;
      if (seen.has(key)) return passing;
      seen.add(key);
      swallowed += 1;
      return undefined;
    };
    await store.write(at("small"), "hello", writing(), signal);
    await store.write(at("large"), stream(all), writing(), signal);
    expect((await ways.read("small")).toString()).toBe("hello");
    expect((await ways.open("large")).equals(all)).toBe(true);
    expect(swallowed).toBeGreaterThan(5);
    expect(events.map((event) => event.kind)).toEqual(["commit", "commit"]);
  });

  it("an object that is replaced while it is read is not mixed with the new one", async () => {
    const { generation } = await store.write(at("large"), all, writing(), signal);
    let replaced = false;
    proxy.meddling.answer = (passed, passing) => {
      if (passing.method !== "GET" || passed.status !== 200 || replaced) return passed;
      // The answer breaks off in the middle, and when the rest is asked for, the object is another one.
      replaced = true;
      const half = passed.body.subarray(0, passed.body.length / 2);
      return { ...passed, headers: { ...passed.headers, "content-length": String(half.length) }, body: half };
    };
    const reading = await store.open(at("large"), signal);
    await new GcsStore({ project: "p", emulator: emulator.url }).write(
      at("large"),
      Buffer.alloc(all.length),
      writing(generation),
      signal,
    );
    const error = await failed(buffer(reading));
    expect(error).toBeInstanceOf(StorageError);
    expect(error).toMatchObject({ status: 404 });
  });

  it("an object that is replaced by a shorter one while it comes anew leaves nothing of the first", async () => {
    const [long, short] = [all.subarray(0, 70_000), all.subarray(100_000, 130_000)];
    await store.write(at("long"), long, writing(), signal);
    await store.write(at("short"), short, writing(), signal);
    let replaced = false;
    proxy.meddling.request = (passing) =>
      replaced ? { ...passing, url: passing.url.replace("/long?", "/short?") } : passing;
    proxy.meddling.answer = (passed, passing) => {
      if (passing.method !== "GET" || replaced) return passed;
      replaced = true;
      return { ...passed, body: changed(passed.body) };
    };
    expect((await download("long")).equals(short)).toBe(true);
    expect(replaced).toBe(true);
  });

  it("a small object is read by one request, and a large one in ranges of one generation", async () => {
    const { generation } = await store.write(at("large"), all, writing(), signal);
    await store.write(at("small"), "hello", writing(), signal);
    proxy.passed.length = 0;
    await ways.read("small");
    expect(proxy.passed).toHaveLength(1);
    const known = await store.stat(at("large"), signal);
    proxy.passed.length = 0;
    await store.read(at("large"), signal, { known });
    const [first, ...others] = proxy.passed;
    expect(first?.url).toContain(`generation=${generation}`);
    const ranges = others.map((passing) => passing.headers.range ?? "").sort();
    expect(ranges).toHaveLength(Math.ceil(all.length / limits.partBytes) - 1);
    expect(ranges).toContain(`bytes=${limits.partBytes}-${2 * limits.partBytes - 1}`);
    expect(others.every((passing) => passing.url.includes(`generation=${generation}`))).toBe(true);
  });
});
