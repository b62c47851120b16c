import { randomInt } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EmulatorProcess } from "../support/emulator-process.js";
import { memoryOf } from "../support/memory.js";
import { seededRandom } from "../support/random.js";

const cases = process.env["KLIO_SOAK"] === "1" ? 120_000 : 5_000;
const atOnce = 32;
const answerMs = 30_000;
const o = "/storage/v1/b/fuzzed/o";
const upload = "/upload/storage/v1/b/fuzzed/o";

interface Good {
  readonly line: string;
  readonly headers?: readonly string[];
  readonly body?: string;
}

const resource = JSON.stringify({
  name: "m",
  contentType: "a/b",
  metadata: { k: "v" },
  md5Hash: "1B2M2Y8AsgTpgAmY7PhCfg==",
});

/** A good request of every kind. */
const corpus: readonly Good[] = [
  {
    line: `POST ${upload}?uploadType=multipart`,
    headers: ['content-type: multipart/related; boundary="xyz"'],
    body: `--xyz\r\ncontent-type: application/json\r\n\r\n{"name":"m"}\r\n--xyz\r\ncontent-type: a/b\r\n\r\nbytes\r\n--xyz--\r\n`,
  },
  {
    line: `POST ${upload}?uploadType=media&name=a&ifGenerationMatch=0`,
    headers: ["x-goog-hash: crc32c=AAAAAA=="],
    body: "x",
  },
  { line: `POST ${upload}?uploadType=resumable&name=r`, headers: ["x-upload-content-length: 5"], body: resource },
  { line: `PUT ${upload}?uploadType=resumable&upload_id=ID`, headers: ["content-range: bytes 0-4/5"], body: "bytes" },
  { line: `PUT ${upload}?uploadType=resumable&upload_id=ID`, headers: ["content-range: bytes */*"], body: "" },
  { line: `DELETE ${upload}?upload_id=ID` },
  { line: `GET ${o}/kept?alt=media`, headers: ["range: bytes=0-3", "accept-encoding: gzip"] },
  { line: `GET ${o}/packed?alt=media`, headers: ["accept-encoding: identity"] },
  { line: `GET ${o}/kept?fields=name,metadata(k),owner/entity&projection=full`, headers: ["if-none-match: abc"] },
  { line: `GET ${o}?prefix=a&delimiter=/&maxResults=2&pageToken=WyJhIl0&startOffset=a&endOffset=z&versions=true` },
  { line: `GET ${o}?matchGlob=${encodeURIComponent("**/{a,b[c-d]?}*")}&includeTrailingDelimiter=true` },
  { line: `PATCH ${o}/kept?ifMetagenerationMatch=1`, body: resource },
  { line: `PUT ${o}/kept`, body: resource },
  {
    line: `POST ${o}/kept/rewriteTo/b/fuzzed/o/c?maxBytesRewrittenPerCall=1048576`,
    body: '{"storageClass":"NEARLINE"}',
  },
  { line: `POST ${o}/kept/copyTo/b/fuzzed/o/c?sourceGeneration=1` },
  {
    line: `POST ${o}/c/compose`,
    body: '{"sourceObjects":[{"name":"kept","generation":"1","objectPreconditions":{"ifGenerationMatch":"1"}}],"destination":{}}',
  },
  { line: `POST ${o}/c/moveTo/o/d?ifSourceGenerationMatch=1` },
  { line: `POST ${o}/c/restore?generation=12` },
  {
    line: "POST /storage/v1/b?project=p",
    body: '{"name":"fuzzed-2","versioning":{"enabled":true},"labels":{"a":"b"}}',
  },
  {
    line: "PATCH /storage/v1/b/fuzzed-2",
    body: '{"softDeletePolicy":{"retentionDurationSeconds":604800},"labels":null}',
  },
  { line: "GET /storage/v1/b?prefix=f&maxResults=1" },
  { line: "GET /storage/v1/b/fuzzed/storageLayout" },
  { line: "GET /storage/v1/b/fuzzed/acl" },
  {
    line: "POST /batch/storage/v1",
    headers: ["content-type: multipart/mixed; boundary=b"],
    body: `--b\r\nContent-Type: application/http\r\nContent-ID: <a+1>\r\n\r\nPATCH ${o}/kept HTTP/1.1\r\ncontent-type: application/json\r\n\r\n{"metadata":{"a":"b"}}\r\n--b\r\n\r\nDELETE ${o}/none HTTP/1.1\r\n\r\n--b--`,
  },
];

class Fuzzer {
  /** Of a resumable upload that was opened; some are over. */
  uploadId = "none";

  constructor(readonly random: () => number) {}

  int(below: number): number {
    return Math.floor(this.random() * below);
  }

  /** The bytes of a request. */
  request(): Buffer {
    const good = corpus[this.int(corpus.length)] ?? { line: "GET /" };
    let line = good.line.replace("ID", this.uploadId);
    let headers = [...(good.headers ?? [])];
    let body: Buffer<ArrayBuffer> = Buffer.from(good.body ?? "");
    const [method = "", path = ""] = line.split(" ");
    if (this.random() < 0.4) line = `${method} ${this.#text(path)}`;
    if (this.random() < 0.03) line = `${["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"][this.int(6)]} ${path}`;
    if (this.random() < 0.3) headers = headers.map((h) => this.#text(h));
    if (this.random() < 0.5) for (let i = this.int(4); i > 0; i -= 1) body = this.#mutated(body);
    if (this.random() < 0.02) body = Buffer.alloc(200_000, body.length === 0 ? "x" : body);
    const framed = this.random();
    if (framed < 0.85) headers.push(`content-length: ${body.length}`);
    else if (framed < 0.95) {
      headers.push("transfer-encoding: chunked");
      body = Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from("\r\n0\r\n\r\n")]);
      if (body.toString().startsWith("0\r\n")) body = Buffer.from("0\r\n\r\n");
    } else headers.push(`content-length: ${this.int(2 ** 40)}`);
    const head = `${line} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n${headers.join("\r\n")}\r\n\r\n`;
    const whole = Buffer.concat([Buffer.from(head.replaceAll("\r\n\r\n\r\n", "\r\n\r\n"), "latin1"), body]);
    return this.random() < 0.05 ? this.#mutated(whole) : whole;
  }

  #text(text: string): string {
    return this.#mutated(Buffer.from(text))
      .toString("latin1")
      .replaceAll(/[\r\n ]/g, "+");
  }

  #mutated(bytes: Buffer): Buffer<ArrayBuffer> {
    const at = this.int(bytes.length + 1);
    const some = Buffer.from(Array.from({ length: this.int(12) }, () => this.int(256)));
    const words = [
      "%2F",
      "%00",
      "..",
      "{",
      "[",
      '"',
      "null",
      "-1",
      "99999999999999999999",
      "\r\n",
      "--xyz",
      "*",
      "%FF",
      "\\u0000",
    ];
    switch (this.int(6)) {
      case 0: {
        const copy = Buffer.from(bytes);
        if (copy.length > 0) copy[at % copy.length] = this.int(256);
        return copy;
      }
      case 1:
        return Buffer.from(bytes.subarray(0, at));
      case 2:
        return Buffer.concat([bytes.subarray(0, at), some, bytes.subarray(at)]);
      case 3:
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + this.int(20))]);
      case 4:
        return Buffer.concat([
          bytes.subarray(0, at),
          Buffer.from(words[this.int(words.length)] ?? ""),
          bytes.subarray(at),
        ]);
      default: // the same once more
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(this.int(at + 1))]);
    }
  }
}

/** Sends one request and waits until it is answered or broken off. What does not come to its end is left by the client. */
async function send(port: number, fuzzer: Fuzzer): Promise<string> {
  const bytes = fuzzer.request();
  const half = fuzzer.int(bytes.length + 1);
  const leaves = fuzzer.random();
  const socket = connect(port, "127.0.0.1");
  const answered = answerOf(socket);
  socket.on("error", () => undefined);
  socket.write(bytes.subarray(0, half));
  if (leaves < 0.03) socket.destroy();
  else socket.write(bytes.subarray(half));
  // A body that is announced longer than it is never comes; its client goes.
  setTimeout(() => socket.end(), 200).unref();
  const timeout = new AbortController();
  const outcome = await Promise.race([answered, sleep(answerMs, "hangs", { signal: timeout.signal })]);
  timeout.abort();
  socket.destroy();
  const id = /upload_id=([0-9a-f-]{36})/.exec(outcome)?.[1];
  if (id !== undefined) fuzzer.uploadId = id;
  return outcome;
}

function answerOf(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  return new Promise((resolve) =>
    socket.once("close", () => {
      resolve(Buffer.concat(chunks).toString("latin1"));
    }),
  );
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "klio-fuzz-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("mutated requests, headers, multipart bodies and JSON", () => {
  it(
    `${cases} of them neither crash the Cloud Storage emulator, nor hang it, nor fill its memory`,
    async () => {
      const seed = Number(process.env["KLIO_SEED"] ?? randomInt(2 ** 31));
      console.log(`seed ${seed}`);
      const fuzzer = new Fuzzer(seededRandom(seed));
      const root = join(folder, "root");
      const emulator = await EmulatorProcess.start(folder, { root }, "startStorage");
      const url = emulator.address;
      const good = async (path: string, init?: RequestInit) => {
        const answer = await fetch(`${url}${path}`, init);
        expect(answer.status).toBe(200);
        return answer;
      };
      await good("/storage/v1/b?project=p", { method: "POST", body: JSON.stringify({ name: "fuzzed" }) });
      await good(`${upload}?uploadType=media&name=packed&contentEncoding=gzip`, {
        method: "POST",
        body: "not gzip at all",
      });
      const statuses = new Map<string, number>();
      let hanging = 0;
      for (let sent = 0; sent < cases; sent += atOnce) {
        const outcomes = await Promise.all(
          Array.from({ length: atOnce }, () => send(Number(new URL(url).port), fuzzer)),
        );
        hanging += outcomes.filter((outcome) => outcome === "hangs").length;
        for (const outcome of outcomes) {
          const status = /^HTTP\/1\.1 (\d+)/.exec(outcome)?.[1] ?? "none";
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
          if (status === "500") throw new Error(outcome);
        }
        // Good work goes on beside.
        if (sent % (atOnce * 20) === 0) {
          await good(`${upload}?uploadType=media&name=kept`, { method: "POST", body: `kept ${sent}` });
          expect(await (await good(`${o}/kept?alt=media`)).text()).toBe(`kept ${sent}`);
        }
      }
      expect(hanging).toBe(0);
      expect(emulator.child.exitCode).toBeNull();
      const peak = memoryOf(emulator.pid).peak / 2 ** 20;
      console.log(
        `answers: ${JSON.stringify(Object.fromEntries([...statuses].sort()))}; peak memory ${Math.round(peak)} MiB`,
      );
      expect(peak).toBeLessThan(250);
      expect((await readdir(folder)).sort()).toEqual(["emulator.mjs", "root"]);
      await emulator.end("SIGTERM");
    },
    30 * 60_000,
  );
});
