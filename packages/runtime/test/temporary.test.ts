import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { makeTemporaryRoot } from "../src/supervisor/temporary.js";

it("removes what ended runs left behind, also one that had this process's id, and nothing else", () => {
  const folder = mkdtempSync(join(tmpdir(), "klio-temporary-"));
  vi.stubEnv("TMPDIR", folder);
  onTestFinished(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });
  const noProcess = 2 ** 30; // above the largest id that Linux gives
  const folders = {
    ended: `klio-run-${noProcess}-a`,
    sameId: `klio-run-${process.pid}-b`,
    alive: `klio-run-${process.ppid}-c`,
    other: "klio-run-of-somebody",
  };
  for (const name of Object.values(folders)) mkdirSync(join(folder, name));
  const made = makeTemporaryRoot();
  expect(basename(made)).toMatch(new RegExp(`^klio-run-${process.pid}-`));
  const left = Object.entries(folders).filter(([, name]) => existsSync(join(folder, name)));
  expect(left.map(([what]) => what)).toEqual(["alive", "other"]);
  expect(existsSync(made)).toBe(true);
});
