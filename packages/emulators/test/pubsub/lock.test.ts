import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startPubSub } from "../../src/index.js";
import { DirectoryInUseError, lockDirectory } from "../../src/directory-lock.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "klio-lock-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe("the directory of an emulator", () => {
  it("is one emulator's at a time", async () => {
    const first = await startPubSub({ directory: folder });
    await expect(startPubSub({ directory: folder })).rejects.toThrow(DirectoryInUseError);
    await Promise.all([first.close(), first.close()]);
    await (await startPubSub({ directory: folder })).close();
    expect(readdirSync(folder)).not.toContain("owner");
  });

  it("is free again when its owner is gone, or its id belongs to another by now", () => {
    for (const stale of ["999999 12345", `${process.pid} 1`, ""]) {
      writeFileSync(join(folder, "owner"), stale);
      lockDirectory(folder).release();
      expect(readdirSync(folder)).toEqual([]);
    }
  });

  it("is free again after a start that failed", async () => {
    await expect(startPubSub({ directory: folder, host: "203.0.113.7" })).rejects.toThrow();
    await expect(startPubSub({ directory: folder, faults: { duplicate: 2 } })).rejects.toThrow(RangeError);
    const emulator = await startPubSub({ directory: folder });
    await emulator.restart();
    await emulator.close();
  });
});
