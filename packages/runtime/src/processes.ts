import { readdirSync, readFileSync } from "node:fs";

/** Whether a process with this id runs. A zombie does not: in a container without an init nobody may ever collect it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  return statOf(pid)?.[0] !== "Z";
}

/** When a process was started, by which it is told from a later one with the same id; "" where the system does not tell. */
export function startOf(pid: number): string {
  return statOf(pid)?.[19] ?? "";
}

/** https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html, from field 3 on: the state is [0], the start [19]. */
function statOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined; // not on Linux, or gone
  }
}

/** Process ids of what a process has started and still runs, all generations. Empty where the system does not tell. */
export function descendantsOf(pid: number): number[] {
  let children: number[];
  try {
    const tasks = readdirSync(`/proc/${pid}/task`);
    children = tasks.flatMap((task) => {
      const text = readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim();
      return text === "" ? [] : text.split(" ").map(Number);
    });
  } catch {
    return []; // not on Linux, or gone
  }
  return children.flatMap((child) => [child, ...descendantsOf(child)]);
}

/** How often it is looked for processes that were started meanwhile. */
const mostLooks = 20;

/**
 * Ends a process and all that it started: its descendants, and who else has `variable` (`NAME=value`) in its environment, for who
 * was left behind is nobody's descendant. `pid` is undefined when the process is gone: then its id may be another's.
 */
export function endProcesses(pid: number | undefined, variable: string): void {
  const found = new Set<number>();
  for (let i = 0; i < mostLooks; i += 1) {
    const known = found.size;
    for (const each of pid === undefined ? [] : [pid, ...descendantsOf(pid)]) found.add(each);
    for (const each of processesWith(variable)) found.add(each);
    if (found.size === known) break;
    // Who stands still starts nothing before the next look.
    for (const each of found) send(each, "SIGSTOP");
  }
  for (const each of found) send(each, "SIGKILL");
}

/** Process ids of those that have a variable in their environment. Empty where the system does not tell. */
function processesWith(variable: string): number[] {
  const has = (pid: string) => {
    try {
      // Of one that hangs in the kernel the environment may be waited for as long as it does.
      if (/\) [DZ] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"))) return false;
      return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(variable);
    } catch {
      return false; // somebody else's, or gone
    }
  };
  try {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && has(name))
      .map(Number);
  } catch {
    return []; // not on Linux
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // gone already
  }
}
