import { readFileSync } from "node:fs";
import { totalmem } from "node:os";
import { descendantsOf } from "../processes.js";
import type { Worker } from "./worker.js";

/** A worker can take hundreds of MiB in this time, in milliseconds. */
const lookMs = 100;
/** Of the memory there is, what all workers may take together. */
const share = 0.8;

/** Bytes for each worker when the configuration does not say. */
export function defaultMemory(workers: number): number {
  const constrained = process.constrainedMemory();
  // Without a limit the kernel says a number beyond all memory; https://nodejs.org/api/process.html#processconstrainedmemory
  const there = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return Math.floor((there * share) / workers);
}

/** Ends workers that take more memory than they may, before the kernel ends everybody. */
export class MemoryWatch {
  #timer: NodeJS.Timeout | undefined;

  constructor(
    readonly maxBytes: number,
    readonly workers: () => readonly Worker[],
    readonly onExceeded: (worker: Worker, bytes: number) => void,
  ) {}

  start(): void {
    if (process.platform !== "linux" || !Number.isFinite(this.maxBytes)) return; // elsewhere only the system itself knows
    this.#timer = setInterval(() => {
      for (const worker of this.workers()) {
        if (worker.pid === 0 || worker.killing !== undefined) continue;
        const bytes = memoryOf(worker.pid);
        if (bytes > this.maxBytes) this.onExceeded(worker, bytes);
      }
    }, lookMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** Resident bytes of a process and of what it started; what they share is counted once for each. */
export function memoryOf(pid: number): number {
  return [pid, ...descendantsOf(pid)].reduce((sum, each) => sum + residentBytes(each), 0);
}

/** https://man7.org/linux/man-pages/man5/proc_pid_status.5.html */
function residentBytes(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1_024;
  } catch {
    return 0; // gone
  }
}
