import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Reads a file of /proc; undefined when the process is gone. */
function proc(path: string): string | undefined {
  try {
    return readFileSync(`/proc/${path}`, "utf8");
  } catch {
    return undefined;
  }
}

/** Whether a process runs. One that has ended and waits to be seen by its parent does not. Source: proc_pid_stat(5). */
export function isRunning(pid: number): boolean {
  const stat = proc(`${pid}/stat`);
  const state = stat?.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3);
  return state !== undefined && state !== "Z" && state !== "X";
}

/** Direct children that run. */
export function childrenOf(pid: number): number[] {
  const text = proc(`${pid}/task/${pid}/children`)?.trim() ?? "";
  return text === "" ? [] : text.split(" ").map(Number).filter(isRunning);
}

/** A process and all that it started and that is still below it, itself first. */
export function treeOf(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(treeOf)];
}

/** Processes whose environment has this `NAME=value`, wherever they have gone. */
export function processesWith(variable: string): number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids
    .filter((pid) => proc(`${pid}/environ`)?.split("\0").includes(variable) === true)
    .map(Number)
    .filter(isRunning);
}

/** TCP ports that are listened on, with the inodes of their sockets. Source: proc_net(5), state 0A is LISTEN. */
export function listeningPorts(): Map<string, number> {
  const found = new Map<string, number>();
  for (const table of ["net/tcp", "net/tcp6"]) {
    for (const line of (proc(table) ?? "").split("\n").slice(1)) {
      const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
      if (state === "0A") found.set(inode, Number.parseInt(local.split(":")[1] ?? "", 16));
    }
  }
  return found;
}

/** TCP ports that these processes listen on. */
export function portsOf(pids: readonly number[]): number[] {
  const listening = listeningPorts();
  const ports = pids.flatMap((pid) => socketsOf(pid).map((inode) => listening.get(inode)));
  return [...new Set(ports.filter((port) => port !== undefined))];
}

function socketsOf(pid: number): string[] {
  try {
    const links = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
    return links.map((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1]).filter((inode) => inode !== undefined);
  } catch {
    return []; // gone, or one of its descriptors is
  }
}
