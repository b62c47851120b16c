import { readdirSync, readFileSync } from "node:fs";

/** Clock ticks a second, of the times in /proc; 100 on Linux. */
const ticks = 100;

/** Processor seconds that ended children of this process have used. */
export function childrenCpu(): number {
  return fields("self", 15, 16);
}

/** Processor seconds that a process and its living descendants have used. */
export function treeCpu(pid: number): number {
  const children = readdirSync("/proc").filter((p) => /^\d+$/.test(p) && parentOf(p) === pid);
  return fields(String(pid), 13, 14, 15, 16) + children.reduce((sum, child) => sum + treeCpu(Number(child)), 0);
}

function parentOf(pid: string): number | undefined {
  try {
    return Number(stat(pid)[3]);
  } catch {
    return undefined;
  }
}

function fields(pid: string, ...indices: readonly number[]): number {
  try {
    const values = stat(pid);
    return indices.reduce((sum, i) => sum + Number(values[i]), 0) / ticks;
  } catch {
    return 0; // ended meanwhile
  }
}

function stat(pid: string): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  return ["", "", ...text.slice(text.lastIndexOf(")") + 2).split(" ")];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

export interface Row {
  readonly what: string;
  readonly klio: number;
  readonly peer: number | undefined;
  readonly unit: string;
  readonly reach: string;
}

/** `what: klio / peer = ratio (reach)`. */
export function formatRow({ what, klio, peer, unit, reach }: Row): string {
  const own = `${klio.toFixed(1)} ${unit}`;
  const against = peer === undefined ? own : `${own} against ${peer.toFixed(1)} ${unit} = ${(klio / peer).toFixed(2)}×`;
  return `${what.padEnd(44)} ${against.padEnd(44)} reach ${reach}`;
}
