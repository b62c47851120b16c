import { createHash } from "node:crypto";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EmulatorProcess } from "../support/emulator-process.js";
import { memoryOf } from "../support/memory.js";

const mebi = 1024 * 1024;
const size = (process.env["KLIO_SOAK"] === "1" ? 10 * 1024 : 512) * mebi;
/** What the emulator may use, in bytes. */
const bound = 150 * mebi;

let folder: string;
let emulator: EmulatorProcess;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "klio-large-"));
  emulator = await EmulatorProcess.start(folder, { root: join(folder, "root") }, "startStorage");
  await fetch(`${emulator.address}/storage/v1/b?project=p`, { method: "POST", body: '{"name":"large-bucket"}' });
});
afterEach(async () => {
  await emulator.end("SIGTERM");
  await rm(folder, { recursive: true, force: true });
});

/** Bytes of which no two mebibytes are alike. */
function* bytes(): Generator<Buffer> {
  for (let at = 0; at < size; at += mebi) yield Buffer.alloc(mebi, createHash("sha256").update(String(at)).digest());
}

const expected = () => {
  const hash = createHash("md5");
  for (const chunk of bytes()) hash.update(chunk);
  return hash.digest("base64");
};

/** Sends a stream; resolves to the answer's JSON. */
function send(
  path: string,
  headers: Record<string, string>,
  body: Readable,
): Promise<{ size: string; md5Hash: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(new URL(path, emulator.address), { method: "POST", headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        resolve(JSON.parse(Buffer.concat(chunks).toString()) as { size: string; md5Hash: string });
      });
    });
    sent.on("error", reject);
    body.pipe(sent);
  });
}

async function downloaded(name: string): Promise<string> {
  const answer = await fetch(`${emulator.address}/storage/v1/b/large-bucket/o/${name}?alt=media`);
  const hash = createHash("md5");
  for await (const chunk of (answer.body ?? []) as AsyncIterable<Uint8Array>) hash.update(chunk);
  return hash.digest("base64");
}

describe(`an object of ${size / mebi} MiB`, () => {
  it(
    "goes up, down and to another name within 150 MiB of memory",
    async () => {
      const md5Hash = expected();
      const upload = "/upload/storage/v1/b/large-bucket/o?uploadType";
      const media = await send(`${upload}=media&name=media`, {}, Readable.from(bytes(), { objectMode: false }));
      expect(media).toMatchObject({ size: String(size), md5Hash });
      expect(await downloaded("media")).toBe(md5Hash);
      await rm(join(folder, "root/large-bucket/media"));
      const parts = function* () {
        yield Buffer.from('--x\r\n\r\n{"name":"parts"}\r\n--x\r\n\r\n');
        yield* bytes();
        yield Buffer.from("\r\n--x--");
      };
      const headers = { "content-type": "multipart/related; boundary=x" };
      const whole = await send(`${upload}=multipart`, headers, Readable.from(parts(), { objectMode: false }));
      expect(whole).toMatchObject({ size: String(size), md5Hash });
      const copy = await send("/storage/v1/b/large-bucket/o/parts/copyTo/b/large-bucket/o/copy", {}, Readable.from([]));
      expect(copy).toMatchObject({ size: String(size), md5Hash });
      expect((await stat(join(folder, "root/large-bucket/copy"))).size).toBe(size);
      const { peak } = memoryOf(emulator.pid);
      console.log(`peak memory ${Math.round(peak / mebi)} MiB`);
      expect(peak).toBeLessThan(bound);
    },
    20 * 60_000,
  );
});
