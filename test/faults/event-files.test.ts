import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { Storage } from "@google-cloud/storage";
import { type StorageEmulator, type StorageFaultKind, startStorage } from "@klio/emulators";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { linesOf } from "../../packages/runtime/src/event-files/lines.js";
import { EventFileError, TextFiles } from "../../packages/runtime/src/event-files/text-files.js";
import { printedSeed } from "../support/seed.js";

let folder: string;
let emulator: StorageEmulator;
let texts: TextFiles;
let struck: StorageFaultKind[] = [];
const lines = Array.from({ length: 20_000 }, (_, i) => `element-${i}`);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "klio-event-files-"));
  emulator = await startStorage({
    root: folder,
    onFault: ({ fault }) => {
      struck.push(fault);
    },
  });
  const storage = new Storage({ projectId: "p", apiEndpoint: emulator.url });
  const [bucket] = await storage.createBucket("lists");
  const text = `${lines.join("\n")}\n`;
  await bucket.file("plain.txt").save(text, { resumable: false });
  await bucket.file("packed.gz").save(gzipSync(text), { resumable: false });
  await bucket.file("encoded.txt").save(text, { resumable: false, gzip: true });
  texts = new TextFiles("p", emulator.url);
});

afterAll(async () => {
  await emulator.close();
  await rm(folder, { recursive: true });
});

async function read(name: string, compression: "auto" | "gzip" = "auto"): Promise<string[]> {
  const file = `gs://lists/${name}`;
  const read: string[] = [];
  for await (const line of linesOf(file, await texts.open(file), compression)) read.push(line.toString());
  return read;
}

describe("an event file in Cloud Storage is read whole", () => {
  it.each(["plain.txt", "packed.gz", "encoded.txt"])("%s, however it is compressed", async (name) => {
    expect(await read(name)).toEqual(lines);
  });

  it("when its configuration says that it is compressed, and its metadata too", async () => {
    expect(await read("encoded.txt", "gzip")).toEqual(lines);
  });

  it.each<StorageFaultKind>(["resetDownload", "truncateDownload", "serviceUnavailable"])("beside %s", async (fault) => {
    struck = [];
    const seed = printedSeed();
    // Seldom enough that no eight tries in a row are struck, and rounds enough that one of them is.
    for (let round = 0; round < 200 && struck.length === 0; round += 1) {
      emulator.setFaults({ seed: seed + round, [fault]: 0.1, afterBytes: 50_000 });
      expect(await read("plain.txt")).toEqual(lines);
    }
    emulator.setFaults({});
    expect(struck).toContain(fault);
  });
});

describe("an event file in Cloud Storage cannot be read", () => {
  it("when it is gone", async () => {
    const reading = read("gone.txt");
    await expect(reading).rejects.toThrow(EventFileError);
    await expect(reading).rejects.toThrow(/^gs:\/\/lists\/gone\.txt cannot be read: /);
  });

  it("when its bytes never match their checksum", async () => {
    emulator.setFaults({ seed: 1, corruptDownload: 1 });
    const reading = read("plain.txt");
    await expect(reading)
      .rejects.toThrow(/^gs:\/\/lists\/plain\.txt cannot be read: /)
      .finally(() => {
        emulator.setFaults({});
      });
  });
});
