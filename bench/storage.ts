import { mkdtempSync, rmSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { EmulatorProcess } from "../test/support/emulator-process.js";
import { memoryOf } from "../test/support/memory.js";
import { type StorageServer, storageTargets } from "../test/support/storage-targets.js";
import { median, type Row } from "./measure.js";

const rounds = 5;
const small = { bytes: 100 * 1024, count: 1_000, atOnce: 8 };
const large = 1024 ** 3;
const mebi = 2 ** 20;
const chunk = Buffer.alloc(mebi, "klio");
const multipart = { "content-type": "multipart/related; boundary=x" };
const head = (name: string) => `--x\r\ncontent-type: application/json\r\n\r\n{"name":"${name}"}\r\n--x\r\n\r\n`;
const tail = "\r\n--x--";

/** Operations, or MiB, per second. */
interface Round {
  readonly smallUp: number;
  readonly smallDown: number;
  readonly largeUp: number;
  readonly largeDown: number;
}

/** A client that costs little: HTTP as it is, connections kept. */
class Client {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: small.atOnce });

  constructor(readonly url: string) {}

  /** Sends a request; resolves to the bytes of its answer. */
  send(method: string, path: string, body?: Buffer | Readable, headers: Record<string, string | number> = {}) {
    const url = new URL(path, this.url);
    return new Promise<number>((resolve, reject) => {
      const sent = httpRequest(url, { method, agent: this.#agent, headers }, (response) => {
        let bytes = 0;
        response.on("data", (data: Buffer) => (bytes += data.length));
        response.on("error", reject);
        response.on("end", () => {
          if ((response.statusCode ?? 500) < 300) resolve(bytes);
          else reject(new Error(`${method} ${path}: ${response.statusCode}`));
        });
      });
      sent.on("error", reject);
      if (body instanceof Readable) body.pipe(sent);
      else sent.end(body);
    });
  }

  upload(bucket: string, name: string, bytes: number): Promise<number> {
    const path = `/upload/storage/v1/b/${bucket}/o?uploadType=multipart&name=${name}`;
    const length = Buffer.byteLength(head(name)) + bytes + tail.length;
    const headers = { ...multipart, "content-length": length };
    if (bytes <= mebi) {
      const body = Buffer.concat([Buffer.from(head(name)), chunk.subarray(0, bytes), Buffer.from(tail)]);
      return this.send("POST", path, body, headers);
    }
    return this.send("POST", path, Readable.from(parts(name, bytes), { objectMode: false }), headers);
  }

  download(bucket: string, name: string): Promise<number> {
    return this.send("GET", `/storage/v1/b/${bucket}/o/${name}?alt=media`);
  }

  close(): void {
    this.#agent.destroy();
  }
}

function* parts(name: string, bytes: number): Generator<Buffer> {
  yield Buffer.from(head(name));
  for (let sent = 0; sent < bytes; sent += chunk.length) yield chunk;
  yield Buffer.from(tail);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1_000;
}

/** Runs `each` for all numbers below `count`, some at once. */
async function forAll(count: number, each: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let i = (next += 1); i <= count; i = next += 1) await each(i);
  };
  await Promise.all(Array.from({ length: small.atOnce }, worker));
}

async function round(server: StorageServer, bucket: string): Promise<Round> {
  const client = new Client(server.url);
  const json = { "content-type": "application/json" };
  await client.send("POST", "/storage/v1/b?project=p", Buffer.from(JSON.stringify({ name: bucket })), json);
  const smallUp = await timed(() => forAll(small.count, (i) => client.upload(bucket, `o${i}`, small.bytes)));
  const smallDown = await timed(() => forAll(small.count, (i) => client.download(bucket, `o${i}`)));
  const largeUp = await timed(() => client.upload(bucket, "large", large));
  const largeDown = await timed(async () => {
    if ((await client.download(bucket, "large")) !== large) throw new Error("the download is not whole");
  });
  await client.send("DELETE", `/storage/v1/b/${bucket}/o/large`);
  await forAll(small.count, (i) => client.send("DELETE", `/storage/v1/b/${bucket}/o/o${i}`));
  client.close();
  const size = large / mebi;
  return {
    smallUp: small.count / smallUp,
    smallDown: small.count / smallDown,
    largeUp: size / largeUp,
    largeDown: size / largeDown,
  };
}

async function startOwn(): Promise<StorageServer & { readonly pid: number }> {
  const folder = mkdtempSync(join(tmpdir(), "klio-bench-"));
  const emulator = await EmulatorProcess.start(folder, { root: join(folder, "root") }, "startStorage");
  return {
    url: emulator.address,
    pid: emulator.pid,
    close: async () => {
      await emulator.end("SIGKILL");
      rmSync(folder, { recursive: true });
    },
  };
}

/** The Storage rows: klio's emulator against fake-gcs-server on its filesystem, in turn and in alternating order. */
export async function storage(): Promise<Row[]> {
  const target = storageTargets.find((t) => !t.own);
  if (target?.missing !== undefined || target === undefined) throw new Error(target?.missing);
  const own = await startOwn();
  const peer = await target.start("filesystem");
  const owns: Round[] = [];
  const peers: Round[] = [];
  for (let i = 0; i < rounds; i += 1) {
    const both = [
      async () => owns.push(await round(own, `round-${i}`)),
      async () => peers.push(await round(peer, `round-${i}`)),
    ];
    for (const one of i % 2 === 0 ? both : both.reverse()) await one();
  }
  const peaks = { own: memoryOf(own.pid).peak / mebi, peer: memoryOf(peer.pid ?? 0).peak / mebi };
  await Promise.all([own.close(), peer.close()]);
  const row = (what: string, key: keyof Round, unit: string, reach: string): Row => ({
    what: `Storage: ${what}`,
    klio: median(owns.map((r) => r[key])),
    peer: median(peers.map((r) => r[key])),
    unit,
    reach,
  });
  return [
    row("100 KiB up", "smallUp", "/s", "≥ 3×"),
    row("100 KiB down", "smallDown", "/s", "≥ 1.2×"),
    row("1 GiB up", "largeUp", "MiB/s", "≥ 3×"),
    row("1 GiB down", "largeDown", "MiB/s", "≥ 0.9×"),
    { what: "Storage: peak memory", klio: peaks.own, peer: peaks.peer, unit: "MiB", reach: "≤ 150 MB" },
  ];
}
