import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { root } from "../../../test/support/rig.js";

it("ends although nobody reads what it writes", async () => {
  const folder = mkdtempSync(join(tmpdir(), "klio-reader-"));
  const path = join(folder, "stdout");
  execFileSync("mkfifo", [path]);
  const pipe = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  onTestFinished(() => {
    closeSync(pipe);
    rmSync(folder, { recursive: true });
  });
  const fill = () => {
    for (;;) writeSync(pipe, Buffer.alloc(4_096));
  };
  expect(fill).toThrow("EAGAIN");
  const supervisor = join(root, "dist/runtime/supervisor.js");
  const child = spawn(process.execPath, [supervisor, "--version"], { stdio: ["ignore", pipe, "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  expect(await once(child, "exit")).toEqual([0, null]);
});
