import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { startStorage } from "@klio/emulators";
import { describe, expect, it } from "vitest";
import { python, skips } from "../../support/tools.js";

const tool = python("beam");
const skipped = skips(tool);
const lines = 1_000;

describe("Apache Beam's text files in Cloud Storage", () => {
  it.skipIf(skipped)(
    "are written in shards, renamed into place, and read back",
    async () => {
      const folder = await mkdtemp(join(tmpdir(), "klio-beam-"));
      const emulator = await startStorage({ root: join(folder, "root") });
      const body = JSON.stringify({ name: "beam-bucket" });
      expect((await fetch(`${emulator.url}/storage/v1/b?project=p`, { method: "POST", body })).status).toBe(200);
      const program = join(import.meta.dirname, "beam/text.py");
      const { stdout } = await promisify(execFile)(
        tool.path ?? "",
        ["-B", program, "beam-bucket", "FnApiRunner", String(lines)],
        { env: { ...process.env, STORAGE_EMULATOR_HOST: emulator.url, NO_GCE_CHECK: "true" }, timeout: 240_000 },
      );
      console.log(stdout.trim());
      const bucket = join(emulator.root, "beam-bucket");
      expect((await readFile(join(bucket, "count"), "utf8")).trim()).toBe(String(lines));
      const shards = (await readdir(join(bucket, "lines"))).sort();
      expect(shards).toEqual([0, 1, 2].map((i) => `text-0000${i}-of-00003.txt`));
      const texts = await Promise.all(shards.map((shard) => readFile(join(bucket, "lines", shard), "utf8")));
      const written = texts.join("").trim().split("\n");
      expect(written.sort()).toEqual(Array.from({ length: lines }, (_, i) => `line ${i}`).sort());
      await emulator.close();
      await rm(folder, { recursive: true });
    },
    300_000,
  );
});
