import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Crc32c, crc32cText } from "../../packages/runtime/src/objects/crc32c.js";
import { GcsStore } from "../../packages/runtime/src/objects/gcs-store.js";
import { EmulatorProcess } from "../support/emulator-process.js";
import { root } from "../support/rig.js";

const mebi = 1024 * 1024;
const size = (process.env["KLIO_SOAK"] === undefined ? 512 : 10 * 1024) * mebi;
/** What an object that goes through a worker may add to its memory, in bytes. */
const bound = 64 * mebi;
const { signal } = new AbortController();

let folder: string;
let emulator: EmulatorProcess;
let store: GcsStore;
let program: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "klio-object-large-"));
  emulator = await EmulatorProcess.start(folder, { root: join(folder, "root") }, "startStorage");
  await fetch(`${emulator.address}/storage/v1/b?project=p`, { method: "POST", body: '{"name":"large-bucket"}' });
  store = new GcsStore({ project: "p", emulator: emulator.address });
  program = join(folder, "program.mjs");
  const require = 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';
  await build({
    entryPoints: [join(root, "test/support/large-object.ts")],
    outfile: program,
    bundle: true,
    platform: "node",
    format: "esm",
    banner: { js: require },
  });
});
afterEach(async () => {
  await emulator.end("SIGTERM");
  await rm(folder, { recursive: true, force: true });
});

/** Bytes of which no two mebibytes are alike. */
function* bytes(): Generator<Buffer> {
  for (let at = 0; at < size; at += mebi) yield Buffer.alloc(mebi, createHash("sha256").update(String(at)).digest());
}

describe(`an object of ${size / mebi} MiB`, () => {
  it.each(["stream", "file"])(
    "goes through a transform, read as a %s, in no more than 64 MiB of memory",
    async (way) => {
      const at = (name: string) => ({ bucket: "large-bucket", name });
      const writing = { ifGenerationMatch: "0", by: [], contentType: "a/b" };
      await store.write(at("input"), Readable.from(bytes()), writing, signal);
      const run = promisify(execFile);
      const { stdout } = await run(process.execPath, [program, emulator.address, way, folder]);
      const { idle, peak, ms, cpuMs } = JSON.parse(stdout) as Record<"idle" | "peak" | "ms" | "cpuMs", number>;
      const rate = Math.round(size / mebi / (ms / 1_000));
      const figures = [idle, peak].map((figure) => Math.round(figure / mebi));
      console.log(
        `${way}: idle ${figures[0]} MiB, peak ${figures[1]} MiB; ${rate} MiB/s, ${Math.round(cpuMs)} ms of CPU`,
      );
      expect(peak - idle).toBeLessThan(bound);
      const expected = new Crc32c();
      for (const chunk of bytes()) expected.update(chunk.map((byte) => ~byte));
      expect(await store.stat(at("output"), signal)).toMatchObject({ size, crc32c: crc32cText(expected.value) });
    },
    30 * 60_000,
  );
});
