import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MessageLog } from "../../src/pubsub/log/message-log.js";
import { FileSegments, MemorySegments, type SegmentStore } from "../../src/pubsub/log/segments.js";

let folder: string;
const warnings: string[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "klio-log-"));
  warnings.length = 0;
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const open = (store: SegmentStore) => new MessageLog(store, (text) => warnings.push(text));
const message = (text: string, publishTime = 1_000) => ({ publishTime, orderingKey: "", message: Buffer.from(text) });

function all(log: MessageLog): string[] {
  const texts: string[] = [];
  for (let at = log.start; ;) {
    const { records, next } = log.read(at);
    if (records.length === 0) return texts;
    texts.push(...records.map((r) => Buffer.from(r.message).toString()));
    at = next;
  }
}

describe.each([
  ["in files", () => new FileSegments(folder, false, 2_000)],
  ["in memory", () => new MemorySegments()],
])("a log %s", (_, store) => {
  it("gives back what was appended, over segments and at any size", () => {
    const log = open(store());
    const texts = Array.from({ length: 300 }, (_, i) => `${i}`.padEnd((i * 37) % 700, "."));
    texts.splice(100, 0, "x".repeat(600_000)); // longer than one read
    for (const text of texts) log.append([message(text)]);
    expect(all(log)).toEqual(texts);
    const { records } = log.read(log.start);
    for (const record of records) expect(log.readOne(record.position)?.message).toEqual(record.message);
    expect(log.readOne(log.end)).toBeUndefined();
  });

  it("finds a position by time, and drops what lies before one", () => {
    const log = open(store());
    for (let i = 0; i < 100; i += 1) log.append([message(`${i}`.padEnd(2_500, "."), 1_000 + i)]);
    const position = log.positionAt(1_060);
    expect(log.readOne(position)?.publishTime).toBe(1_060);
    expect(log.positionAt(0)).toBe(log.start);
    expect(log.positionAt(5_000)).toBe(log.end);
    log.trim(position);
    expect(log.positionAt(1_070, position)).toBe(log.positionAt(1_070));
    expect(all(log).at(-1)?.startsWith("99")).toBe(true);
    expect(all(log).length).toBeGreaterThanOrEqual(40);
    log.trim(log.end);
    log.append([message("after")]);
    expect(all(log).at(-1)).toBe("after");
  });
});

describe("a log on disk", () => {
  const files = () => readdirSync(folder).sort();
  const last = () =>
    join(
      folder,
      files()
        .filter((f) => f.endsWith(".log"))
        .at(-1) ?? "",
    );

  it("is the same after it was opened again, and goes on from there", () => {
    for (let i = 0; i < 50; i += 1) {
      const log = open(new FileSegments(folder, false, 300));
      log.append([message(`a${i}`, 2_000 + i), message(`b${i}`, 2_000 + i)]);
      expect(log.lastTime).toBe(2_000 + i);
      log.close();
    }
    const log = open(new FileSegments(folder, false, 300));
    expect(all(log)).toEqual(Array.from({ length: 50 }, (_, i) => [`a${i}`, `b${i}`]).flat());
    expect(log.lastTime).toBe(2_049);
    expect(files().length).toBeGreaterThan(3);
    expect(warnings).toEqual([]);
  });

  it("loses at most the message that was being written, wherever that broke off", () => {
    const log = open(new FileSegments(folder, false));
    log.append([message("one"), message("two"), message("three")]);
    log.close();
    const whole = readFileSync(last());
    for (let size = whole.length - 1; size >= 0; size -= 1) {
      writeFileSync(last(), whole.subarray(0, size));
      const again = open(new FileSegments(folder, false));
      const texts = all(again);
      expect(["one", "two", "three"].slice(0, texts.length)).toEqual(texts);
      again.append([message("four")]);
      expect(all(again)).toEqual([...texts, "four"]);
      again.close();
      expect(files()).toEqual([last().split("/").at(-1)]);
    }
  });

  it("takes zeros at the end, which a power failure may leave, for nothing", () => {
    const log = open(new FileSegments(folder, false));
    log.append([message("one")]);
    log.close();
    appendFileSync(last(), Buffer.alloc(100));
    expect(all(open(new FileSegments(folder, false)))).toEqual(["one"]);
    expect(warnings[0]).toContain("100 bytes");
    expect(files().some((f) => f.endsWith(".damaged"))).toBe(true);
  });

  it("leaves out a damaged message, says so, and keeps those behind it", () => {
    const log = open(new FileSegments(folder, false));
    log.append([message("one"), message("two"), message("three")]);
    const { records } = log.read(0);
    const at = (records[1]?.position ?? 0) + 21;
    log.close();
    const bytes = readFileSync(last());
    bytes[at] = (bytes[at] ?? 0) ^ 0xff;
    writeFileSync(last(), bytes);
    expect(all(open(new FileSegments(folder, false)))).toEqual(["one", "three"]);
    expect(warnings.join("\n")).toContain("damaged");
  });

  it("finds the next message behind a damaged length", () => {
    const log = open(new FileSegments(folder, false));
    log.append(["one", "two", "three", "four"].map((text) => message(text)));
    const second = log.read(0).records[1]?.position ?? 0;
    log.close();
    for (const byte of [0, 1, 2, 3]) {
      const bytes = readFileSync(last());
      const damaged = Buffer.from(bytes);
      damaged[second + byte] = (damaged[second + byte] ?? 0) ^ 0x10;
      writeFileSync(last(), damaged);
      const again = open(new FileSegments(folder, false));
      expect(all(again)).toEqual(["one", "three", "four"]);
      again.close();
      writeFileSync(last(), bytes);
    }
  });

  it("goes on behind a segment whose end is missing", () => {
    const log = open(new FileSegments(folder, false, 100));
    for (let i = 0; i < 10; i += 1) log.append([message(`message ${i}`)]);
    log.close();
    const [first = ""] = files();
    truncateSync(join(folder, first), 40);
    const texts = all(open(new FileSegments(folder, false, 100)));
    expect(texts.at(-1)).toBe("message 9");
    expect(texts.length).toBeLessThan(10);
    expect(warnings.join("\n")).toContain("damaged");
  });
});
