import { createReadStream, existsSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { buffer } from "node:stream/consumers";
import type { EffectiveConfig } from "@klio/config/effective";
import { startStorage, type StorageEmulator, type StorageEvent } from "@klio/emulators";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type AttemptResult, runAttempt } from "../../packages/runtime/src/engine/attempt.js";
import { Cancellation } from "../../packages/runtime/src/engine/cancellation.js";
import type { Engine } from "../../packages/runtime/src/engine/engine.js";
import { ItemObjects } from "../../packages/runtime/src/engine/item-objects.js";
import { layOut } from "../../packages/runtime/src/engine/graph.js";
import { makeItem } from "../../packages/runtime/src/api/item.js";
import {
  type Context,
  defineJob,
  defineTransform,
  type Item,
  PermanentError,
} from "../../packages/runtime/src/index.js";
import { realClock } from "../../packages/runtime/src/clock.js";
import { requestMessage } from "../../packages/runtime/src/message/index.js";
import { FileStore } from "../../packages/runtime/src/objects/file-store.js";
import { GcsStore } from "../../packages/runtime/src/objects/gcs-store.js";
import { RoutedStore } from "../../packages/runtime/src/objects/routed-store.js";
import { StorageProxy } from "../support/storage-proxy.js";

// One attempt of the engine over the real store: what it leaves behind, and whom it blames.
const kibi = 1024;
const limits = { tries: 3, firstDelayMs: 1, stallMs: 10_000, partBytes: 64 * kibi, pieceBytes: 256 * kibi };
const song = Buffer.alloc(700 * kibi, "la ");

let folder: string;
let temporary: string;
let emulator: StorageEmulator;
let proxy: StorageProxy;
let events: StorageEvent[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "klio-item-objects-"));
  temporary = join(folder, "temporary");
  await mkdir(temporary);
  events = [];
  emulator = await startStorage({ root: join(folder, "root"), observe: (event) => events.push(event) });
  proxy = await StorageProxy.start(emulator.url);
  await fetch(`${emulator.url}/storage/v1/b?project=p`, { method: "POST", body: '{"name":"music"}' });
  await fetch(`${emulator.url}/upload/storage/v1/b/music/o?uploadType=media&name=in/song.wav`, {
    method: "POST",
    body: song,
  });
});

afterEach(async () => {
  await proxy.close();
  await emulator.close();
  await rm(folder, { recursive: true });
});

type Work = (item: Item<unknown>, ctx: Context) => Promise<unknown>;

interface Places {
  readonly input?: string;
  readonly temporaryFolder?: () => Promise<string>;
  readonly cancellation?: Cancellation;
  readonly force?: boolean;
}

/** A job whose only transform is `work`. */
async function engineOf(work: Work, places: Places): Promise<Engine> {
  const data = { type: "gcs", name: "gcs0", skip_klio_existence_check: false };
  const config = {
    job_name: "job",
    job_config: {
      events: { inputs: [{ name: "pubsub0" }], outputs: [] },
      data: {
        inputs: [{ ...data, location: places.input ?? "gs://music/in", file_suffix: ".wav", ping: false }],
        outputs: [{ ...data, location: "gs://music/out", file_suffix: ".mp3", force: false }],
      },
      workers: { limits: {} },
      user: {},
    },
  } as unknown as EffectiveConfig;
  const transform = defineTransform("work", {
    async process(item, ctx) {
      await work(item, ctx);
      return item.with(undefined);
    },
  });
  const job = defineJob({ build: (input) => input.apply(transform) });
  const store = new RoutedStore(
    () => new FileStore(),
    () => new GcsStore({ project: "p", emulator: proxy.url, limits }),
  );
  return {
    config,
    graph: await layOut(job, config),
    store,
    states: new Map(),
    temporaryFolder: places.temporaryFolder ?? (() => mkdtemp(join(temporary, "item-"))),
    draining: () => false,
    clock: realClock,
    backends: [],
  } as unknown as Engine;
}

async function attempt(work: Work, places: Places = {}): Promise<AttemptResult> {
  const message = requestMessage({ element: "song", force: places.force ?? false });
  const cancellation = places.cancellation ?? new Cancellation();
  const input = { klioId: "1", input: "pubsub0", attempt: 1, message, cancellation, trace: undefined };
  const quiet = () => undefined;
  return runAttempt(await engineOf(work, places), input, { log: quiet, metric: quiet, enter: quiet, leave: quiet });
}

const kindOf = (result: AttemptResult) => (result.kind === "failed" ? result.failure.kind : result.kind);
const wait = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => {
      resolve();
    });
  });

describe("an attempt's failure", () => {
  const readings: readonly (readonly [string, Work])[] = [
    ["read", (item, ctx) => ctx.read(item)],
    ["open", async (item, ctx) => buffer(await ctx.open(item))],
    ["file", (item, ctx) => ctx.file(item)],
    ["upload", (item, ctx) => ctx.upload(item, "text")],
    ["upload of a stream", (item, ctx) => ctx.upload(item, new PassThrough().end(song))],
  ];

  it.each(readings)("is the storage's when that does not answer: ctx.%s", async (_, work) => {
    const broken: Work = (item, ctx) => {
      emulator.setFaults({ serviceUnavailable: 1 });
      return work(item, ctx);
    };
    expect(kindOf(await attempt(broken))).toBe("storage");
    emulator.setFaults({});
    const wrapped: Work = async (item, ctx) => {
      await broken(item, ctx).catch((cause: unknown) => {
        throw new Error("the song could not be fetched", { cause });
      });
    };
    const result = await attempt(wrapped);
    expect(result).toMatchObject({
      failure: { kind: "storage", message: "the song could not be fetched", node: "work" },
    });
    expect(events.filter((event) => event.name.startsWith("out/"))).toEqual([]);
  });

  it("is the storage's when the existence checks are not answered", async () => {
    emulator.setFaults({ internalError: 1 });
    expect(await attempt(() => Promise.resolve())).toMatchObject({ failure: { kind: "storage", code: "HTTP_500" } });
  });

  it("is the message's own when user code fails, whatever storage did before", async () => {
    const own: Work = async (item, ctx) => {
      emulator.setFaults({ serviceUnavailable: 1 });
      await ctx.read(item).catch(() => undefined);
      throw new Error("not a song");
    };
    expect(kindOf(await attempt(own))).toBe("error");
  });

  it("is the message's own when the source of an upload fails, awaited or not", async () => {
    async function* breaking() {
      yield await Promise.resolve(Buffer.alloc(10));
      throw new Error("the encoder broke");
    }
    const result = await attempt((item, ctx) => ctx.upload(item, breaking()));
    expect(result).toMatchObject({ failure: { kind: "error", message: "the encoder broke" } });
    const forgotten = await attempt(async (item, ctx) => {
      void ctx.upload(item, breaking());
      await Promise.resolve();
    });
    expect(forgotten).toMatchObject({ failure: { kind: "error", message: "the encoder broke" } });
  });

  it("is the message's own when the source of an upload has failed before anybody read it", async () => {
    const upload: Work = (item, ctx) => ctx.upload(item, createReadStream("/no/such/file"), { suffix: ".png" });
    expect(await attempt(upload)).toMatchObject({ failure: { kind: "error", code: "ENOENT" } });
  });

  it("leaves no source of an upload open when that is not even looked for", async () => {
    const source = new PassThrough();
    const work: Work = (item, ctx) => {
      emulator.setFaults({ serviceUnavailable: 1 });
      return ctx.upload(item, source, { suffix: ".png" });
    };
    expect(kindOf(await attempt(work))).toBe("storage");
    expect(source.destroyed).toBe(true);
  });

  it("is nobody's when another request wrote the object meanwhile, whatever user code makes of that", async () => {
    const result = await attempt(async (item, ctx) => {
      const url = `${emulator.url}/upload/storage/v1/b/music/o?uploadType=media&name=out/song.mp3`;
      await fetch(url, { method: "POST", body: "another's" });
      for (let i = 0; i < 2; i += 1) await ctx.upload(item, "mine").catch(() => undefined);
    });
    expect(kindOf(result)).toBe("overtaken");
  });

  it("is permanent when user code says so, whatever the cause", async () => {
    const result = await attempt(async (item, ctx) => {
      emulator.setFaults({ serviceUnavailable: 1 });
      await ctx.read(item).catch((cause: unknown) => {
        throw new PermanentError("no use", { cause });
      });
    });
    expect(kindOf(result)).toBe("permanent");
  });

  it("is the message's own when the disk for temporary files takes nothing", async () => {
    const file = join(folder, "not-a-folder");
    writeFileSync(file, "");
    const result = await attempt((item, ctx) => ctx.file(item), { temporaryFolder: () => Promise.resolve(file) });
    expect(result).toMatchObject({ failure: { kind: "error", code: "ENOTDIR" } });
  });

  it("stays the storage's when user code tries again what may have been written", async () => {
    // The service has it, and each answer is lost.
    proxy.meddling.answer = (passed, passing) => (passing.method === "POST" ? { ...passed, status: 503 } : passed);
    const result = await attempt(async (item, ctx) => {
      await ctx.upload(item, "text").catch(() => {
        proxy.meddling.answer = (passed) => passed;
        return ctx.upload(item, "other text");
      });
    });
    expect(kindOf(result)).toBe("storage");
  });

  it("is the message's own when a request is refused for what it asks", async () => {
    proxy.meddling.answer = (passed, passing) => (passing.method === "POST" ? { ...passed, status: 400 } : passed);
    expect(kindOf(await attempt((item, ctx) => ctx.upload(item, "text")))).toBe("error");
  });
});

describe("when an attempt is over", () => {
  let left: readonly string[] = [];
  const leaving: readonly (readonly [string, Work])[] = [
    ["with success", (item, ctx) => ctx.file(item)],
    [
      "with an error",
      async (item, ctx) => {
        await ctx.file(item);
        throw new Error("not a song");
      },
    ],
    [
      "while files, streams and uploads are still on their way",
      async (item, ctx) => {
        const file = await ctx.file(item);
        expect(existsSync(file)).toBe(true);
        await ctx.open(item);
        void ctx.file(item);
        void ctx.read(item);
        void ctx.open(item);
        const endless = new PassThrough();
        endless.write(song);
        void ctx.upload(item, endless);
        throw new Error("not a song");
      },
    ],
    [
      "and a download broke",
      async (item, ctx) => {
        emulator.setFaults({ resetDownload: 1, afterBytes: 1_000 });
        await ctx.file(item).catch(() => undefined);
        left = await readdir(temporary, { recursive: true });
      },
    ],
  ];

  it.each(leaving)("%s, no temporary file is left, and no object in part", async (_, work) => {
    await attempt(work);
    expect(left.filter((path) => path.endsWith(".wav"))).toEqual([]); // nor was there one at once
    expect(await readdir(temporary)).toEqual([]);
    expect(events.filter((event) => event.name.startsWith("out/"))).toEqual([]);
    await expect.poll(() => readdir(join(folder, "root/.klio/staging"))).toEqual([]);
  });

  it("by an abort in the middle of a download, no temporary file is left", async () => {
    emulator.setFaults({ stallDownload: 1, afterBytes: 1_000, stallMs: 60_000 });
    const cancellation = new Cancellation();
    const result = attempt((item, ctx) => ctx.file(item), { cancellation });
    await expect.poll(async () => (await readdir(temporary, { recursive: true })).length).toBe(2);
    cancellation.abort(new Error("too late"));
    expect(kindOf(await result)).toBe("cancelled");
    expect(await readdir(temporary)).toEqual([]);
  });

  it("by an abort in the middle of an upload, the object is not there", async () => {
    const cancellation = new Cancellation();
    // As a program's output that ends because the program is ended.
    const killed = async (item: Item<unknown>, ctx: Context) => {
      const output = new PassThrough();
      output.write(song);
      void wait(ctx.signal).then(() => output.end());
      setTimeout(() => {
        cancellation.abort(new Error("too late"));
      }, 50);
      await ctx.upload(item, output);
    };
    expect(kindOf(await attempt(killed, { cancellation }))).toBe("cancelled");
    expect(events.filter((event) => event.name.startsWith("out/"))).toEqual([]);
  });
});

describe("an attempt", () => {
  it("looks once for its input, and reads what it found", async () => {
    const result = await attempt(async (item, ctx) => {
      expect(Buffer.from(await ctx.read(item)).equals(song)).toBe(true);
    });
    expect(kindOf(result)).toBe("processed");
    const asked = proxy.passed.filter(({ url }) => url.includes("in%2Fsong.wav"));
    expect(asked.filter(({ url }) => !url.includes("alt=media"))).toHaveLength(1);
    expect(asked.filter(({ url }) => /alt=media&generation=\d+/.test(url)).length).toBe(asked.length - 1);
  });

  it("reads what it has written itself, not what it found before", async () => {
    const louder: Work = async (item, ctx) => {
      await ctx.upload(item, "louder", { suffix: ".wav" });
      expect(Buffer.from(await ctx.read(item)).toString()).toBe("louder");
    };
    // Where earlier versions stay readable.
    await fetch(`${emulator.url}/storage/v1/b/music`, { method: "PATCH", body: '{"versioning":{"enabled":true}}' });
    await fetch(`${emulator.url}/upload/storage/v1/b/music/o?uploadType=media&name=out/song.wav`, {
      method: "POST",
      body: "quiet",
    });
    expect(kindOf(await attempt(louder, { input: "gs://music/out", force: true }))).toBe("processed");
  });

  it("counts the bytes that it read", async () => {
    const objects = new ItemObjects(
      await engineOf(() => Promise.resolve(), {}),
      { id: "1", force: false },
      new Cancellation(),
    );
    const item = makeItem("song", new Uint8Array());
    await objects.file(item);
    expect(objects.bytesRead).toBeGreaterThanOrEqual(song.length);
    const before = objects.bytesRead;
    await buffer(await objects.open(item));
    expect(objects.bytesRead).toBe(before + song.length);
    await objects.cleanUp();
    await expect(objects.read(item)).rejects.toThrow("the attempt is over");
  });

  it("opens more objects than a signal has listeners for by default, without a warning", async () => {
    const warnings: unknown[] = [];
    const hear = (warning: unknown) => warnings.push(warning);
    process.on("warning", hear);
    const many: Work = async (item, ctx) => {
      const streams = await Promise.all(Array.from({ length: 30 }, () => ctx.open(item)));
      for (const stream of streams) expect((await buffer(stream)).equals(song)).toBe(true);
    };
    expect(kindOf(await attempt(many))).toBe("processed");
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", hear);
    expect(warnings).toEqual([]);
  });
});
