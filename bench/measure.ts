import { readdirSync, readFileSync } from "node:fs";

/** Clock ticks a second, of the times in /proc; 100 on Linux. */
const ticks = 100;

/** Processor seconds that ended children of this process have used. */
export function childrenCpu(): number {
  return fields("self", 15, 16);
}

/** Processor seconds that a process and its living descendants have used. */
export function treeCpu(pid: number): number {
  return treeOf(pid).reduce((sum, each) => sum + fields(String(each), 13, 14, 15, 16), 0);
}

/** A process and its living descendants. */
export function treeOf(pid: number): number[] {
  const children = readdirSync("/proc").filter((p) => /^\d+$/.test(p) && parentOf(p) === pid);
  return [pid, ...children.flatMap((child) => treeOf(Number(child)))];
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
  /** What the figures are medians of, for the raw results. */
  readonly samples?: Readonly<Record<string, readonly number[]>>;
}

/** Says on stderr how far a benchmark is. */
export function progress(text: string): void {
  process.stderr.write(`  ${text}\n`);
}

/** Runs each once a round, in turns, the order reversed in every second round. */
export async function inTurns<Name extends string, Result>(
  rounds: number,
  all: Readonly<Record<Name, (round: number) => Promise<Result>>>,
  say: (result: Result) => string,
): Promise<Record<Name, Result[]>> {
  const names = Object.keys(all) as Name[];
  const results = Object.fromEntries(names.map((name) => [name, [] as Result[]])) as Record<Name, Result[]>;
  for (let round = 0; round < rounds; round += 1) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const result = await all[name](round);
      results[name].push(result);
      progress(`round ${round + 1} of ${rounds}, ${name}: ${say(result)}`);
    }
  }
  return results;
}

/** `what: klio / peer = ratio (reach)`. */
export function formatRow({ what, klio, peer, unit, reach }: Row): string {
  const own = `${klio.toFixed(1)} ${unit}`;
  const against = peer === undefined ? own : `${own} against ${peer.toFixed(1)} ${unit} = ${(klio / peer).toFixed(2)}×`;
  return `${what.padEnd(44)} ${against.padEnd(44)} reach ${reach}`;
}
