// A program of its own, so that its memory can be measured: takes an object through a transform into another one.
// Arguments: the emulator's URL, the way (stream or file), a folder. Prints its idle and its peak memory in bytes, as JSON.
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { Transform } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { GcsStore } from "../../packages/runtime/src/objects/gcs-store.js";
import { memoryOf } from "./memory.js";

const [, , url = "", way = "stream", folder = ""] = process.argv;
const { signal } = new AbortController();
const store = new GcsStore({ project: "p", emulator: url });
const at = (name: string) => ({ bucket: "large-bucket", name });

/** Turns every byte round, in memory of its own. */
const inverted = () =>
  new Transform({
    transform(chunk: Buffer, _, callback) {
      const words = Buffer.allocUnsafe(chunk.length);
      for (let i = 0; i < chunk.length; i += 1) words[i] = ~(chunk[i] ?? 0);
      callback(null, words);
    },
  });

await store.stat(at("input"), signal);
await sleep(500);
const idle = memoryOf(process.pid).now;
const started = process.hrtime.bigint();
let source;
if (way === "file") {
  const file = join(folder, "copy");
  await store.download(at("input"), file, signal);
  source = createReadStream(file);
} else {
  source = await store.open(at("input"), signal);
}
const transformed = source.pipe(inverted());
source.on("error", (error: Error) => transformed.destroy(error));
await store.write(
  at("output"),
  transformed,
  { ifGenerationMatch: "0", by: ["1"], contentType: "application/octet-stream" },
  signal,
);
const ms = Number(process.hrtime.bigint() - started) / 1e6;
console.log(JSON.stringify({ idle, peak: memoryOf(process.pid).peak, ms, cpuMs: process.cpuUsage().user / 1e3 }));
