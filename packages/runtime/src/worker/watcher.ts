import { Worker } from "node:worker_threads";

// Blocks on a descriptor that never carries anything. Its end means that the supervisor is gone, however it went; then the
// whole process group ends, even while user code loops on the main thread.
const body = `
const { readSync } = require("node:fs");
const nap = new Int32Array(new SharedArrayBuffer(4));
const buffer = Buffer.alloc(1);
for (;;) {
  let read = 0;
  try {
    read = readSync(5, buffer);
  } catch (error) {
    if (error.code === "EAGAIN") {
      Atomics.wait(nap, 0, 0, 100);
      continue;
    }
  }
  if (read === 0) process.kill(-process.pid, "SIGKILL");
}`;

/** Watches the supervisor from a thread of its own. */
export function watchSupervisor(): void {
  const watcher = new Worker(body, { eval: true, execArgv: [], stdin: false });
  watcher.unref();
}
