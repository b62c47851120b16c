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

/** Ends a process and everything it started. */
export function killTree(pid: number): void {
  for (const each of [...descendantsOf(pid), pid]) {
    try {
      process.kill(each, "SIGKILL");
    } catch {
      // gone already
    }
  }
}
