import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Storage } from "@google-cloud/storage";
import {
  type FaultEvent,
  startStorage,
  type StorageEmulator,
  type StorageFaultKind,
  type StorageFaults,
} from "@klio/emulators";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const count = 40;
const statuses: Partial<Record<StorageFaultKind, number>> = {
  requestTimeout: 408,
  tooManyRequests: 429,
  internalError: 500,
  serviceUnavailable: 503,
};

let folder: string;
let emulator: StorageEmulator;
let struck: FaultEvent<StorageFaultKind>[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "klio-storage-faults-"));
  struck = [];
  emulator = await startStorage({ root: join(folder, "root"), onFault: (event) => struck.push(event) });
  await fetch(`${emulator.url}/storage/v1/b?project=p`, { method: "POST", body: '{"name":"faulty"}' });
});

afterEach(async () => {
  await emulator.close();
  await rm(folder, { recursive: true });
});

const upload = (name: string, body: Buffer | string) =>
  fetch(`${emulator.url}/upload/storage/v1/b/faulty/o?uploadType=media&name=${name}`, { method: "POST", body });
const url = (name: string) => `${emulator.url}/storage/v1/b/faulty/o/${name}`;
const download = (name: string) => fetch(`${url(name)}?alt=media`);

/** Whether the connection broke before the answer was whole. */
async function breaks(request: Promise<Response>): Promise<boolean> {
  return request
    .then((answer) => answer.arrayBuffer())
    .then(
      () => false,
      () => true,
    );
}

const data = randomBytes(50_000);

describe("a fault of Cloud Storage that is asked for", () => {
  it.each(Object.entries(statuses))("refuses a request, which is not carried out: %s", async (kind, status) => {
    emulator.setFaults({ seed: 1, [kind]: 1 });
    const refused = await upload("object", data);
    expect(refused.status).toBe(status);
    expect(await refused.json()).toMatchObject({ error: { code: status } });
    emulator.setFaults({});
    expect((await download("object")).status).toBe(404);
    expect(struck).toEqual([{ fault: kind, opportunity: 1 }]);
  });

  it("breaks an upload, of which nothing is left", async () => {
    emulator.setFaults({ resetUpload: 1, afterBytes: 10_000 });
    expect(await breaks(upload("object", data))).toBe(true);
    emulator.setFaults({});
    expect((await download("object")).status).toBe(404);
  });

  it("breaks a download", async () => {
    await upload("object", data);
    emulator.setFaults({ resetDownload: 1, afterBytes: 10_000 });
    expect(await breaks(download("object"))).toBe(true);
  });

  it.each([10_000, 1_000_000])(
    "cuts a download of 50,000 bytes at %d, and the answer looks whole",
    async (afterBytes) => {
      await upload("object", data);
      emulator.setFaults({ truncateDownload: 1, afterBytes });
      const answer = await download("object");
      const bytes = Buffer.from(await answer.arrayBuffer());
      expect(bytes).toHaveLength(Math.min(afterBytes, data.length - 1));
      expect(answer.headers.get("x-goog-hash")).toContain(createHash("md5").update(data).digest("base64"));
    },
  );

  it("changes a byte of a download", async () => {
    await upload("object", data);
    emulator.setFaults({ corruptDownload: 1 });
    const bytes = Buffer.from(await (await download("object")).arrayBuffer());
    expect(bytes).toHaveLength(data.length);
    expect(bytes.equals(data)).toBe(false);
  });

  it("stalls a download, which goes on", async () => {
    await upload("object", data);
    emulator.setFaults({ stallDownload: 1, afterBytes: 10_000, stallMs: 600_000 });
    let before = 0;
    for await (const part of ((await download("object")).body ?? []) as AsyncIterable<Uint8Array>) {
      before += part.length;
      if (before >= 10_000) break;
    }
    expect(before).toBe(10_000);
    emulator.setFaults({ stallDownload: 1, afterBytes: 10_000, stallMs: 300 });
    const begin = performance.now();
    expect(Buffer.from(await (await download("object")).arrayBuffer()).equals(data)).toBe(true);
    expect(performance.now() - begin).toBeGreaterThan(290);
  });

  it("holds an answer back", async () => {
    await upload("object", data);
    emulator.setFaults({ delayReply: 1, delayMs: 300 });
    const begin = performance.now();
    expect(Buffer.from(await (await download("object")).arrayBuffer()).equals(data)).toBe(true);
    expect(performance.now() - begin).toBeGreaterThan(290);
  });

  it("holds an answer back, of what was carried out, until the client goes or the emulator", async () => {
    emulator.setFaults({ delayReply: 1, delayMs: 600_000 });
    const leaves = new AbortController();
    const left = breaks(fetch(url("object"), { signal: leaves.signal }));
    const refused = breaks(upload("object", data));
    const read = (name: string) => readFile(join(folder, "root/faulty", name)).catch(() => undefined);
    await expect.poll(() => read("object"), { timeout: 20_000 }).toEqual(data);
    const open = breaks(download("object"));
    await expect.poll(() => struck, { timeout: 20_000 }).toHaveLength(3);
    leaves.abort();
    expect(await left).toBe(true);
    await emulator.close();
    expect(await Promise.all([refused, open])).toEqual([true, true]);
    emulator = await startStorage({ root: join(folder, "other") });
  });

  it("loses the answer to a change that was carried out", async () => {
    emulator.setFaults({ loseReply: 1 });
    expect(await breaks(upload("object", data))).toBe(true);
    expect(await breaks(fetch(url("object"), { method: "PATCH", body: '{"contentType":"a/b"}' }))).toBe(true);
    emulator.setFaults({});
    expect(await (await fetch(url("object"))).json()).toMatchObject({ size: "50000", metageneration: "2" });
    emulator.setFaults({ loseReply: 1 });
    expect(await breaks(fetch(url("object"), { method: "DELETE" }))).toBe(true);
    emulator.setFaults({});
    expect((await fetch(url("object"))).status).toBe(404);
  });

  it("strikes at the same opportunities with the same seed", async () => {
    const schedule = async (seed: number) => {
      struck = [];
      emulator.setFaults({ seed, serviceUnavailable: 0.3 });
      for (let i = 0; i < count; i += 1) await fetch(url("none"));
      return struck.map((event) => event.opportunity);
    };
    const first = await schedule(7);
    expect(first.length).toBeGreaterThan(3);
    expect(await schedule(7)).toEqual(first);
    expect(await schedule(8)).not.toEqual(first);
  });

  it("is refused when it is no probability", async () => {
    const wrong = startStorage({ root: join(folder, "other"), faults: { loseReply: 2 } });
    await expect(wrong).rejects.toThrow(RangeError);
    expect(() => {
      emulator.setFaults({ afterBytes: -1 });
    }).toThrow(RangeError);
  });

  it.each<[StorageFaultKind, StorageFaults]>([
    ["tooManyRequests", { tooManyRequests: 0.2 }],
    ["serviceUnavailable", { serviceUnavailable: 0.2 }],
    ["resetUpload", { resetUpload: 0.2 }],
  ])(
    "does not keep the official client from its work: %s",
    async (kind, faults) => {
      const retryOptions = { retryDelayMultiplier: 1.1, maxRetryDelay: 1, totalTimeout: 60, maxRetries: 20 };
      const client = new Storage({ projectId: "p", apiEndpoint: emulator.url, retryOptions });
      const bucket = client.bucket("faulty");
      emulator.setFaults({ seed: 5, ...faults });
      for (let i = 0; i < 10; i += 1) {
        const file = bucket.file(`object ${i}`);
        const save = () => file.save(data, { resumable: true, preconditionOpts: { ifGenerationMatch: 0 } });
        await save().catch(save); // the client gives up where two requests in a row for an upload's status fail
        expect((await file.download())[0].equals(data)).toBe(true);
      }
      expect(struck.filter((event) => event.fault === kind).length).toBeGreaterThan(0);
    },
    120_000,
  );

  it("does not keep the emulator from its end when clients went away amid wrong bytes", async () => {
    const bucket = new Storage({ projectId: "p", apiEndpoint: emulator.url }).bucket("faulty");
    await upload("large", Buffer.alloc(200_000));
    emulator.setFaults({ seed: 1, corruptDownload: 0.5 });
    // The client breaks off what it reads, and tries again.
    for (let i = 0; i < 100; i += 1)
      bucket
        .file("large")
        .download()
        .catch(() => undefined);
    await expect.poll(() => struck.length, { timeout: 60_000 }).toBeGreaterThan(20);
    await emulator.close();
    await expect(fetch(url("large"))).rejects.toThrow();
  });
});
