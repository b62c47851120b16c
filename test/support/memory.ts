import { readFileSync } from "node:fs";

/** Resident memory of a process, now and at its peak, in bytes. Source: proc_pid_status(5), VmRSS and VmHWM. */
export function memoryOf(pid: number): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) * 1_024;
  return { now: field("VmRSS"), peak: field("VmHWM") };
}
