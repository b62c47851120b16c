import { link, mkdir, readdir, rm } from "node:fs/promises";
import type { Server } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isAlive } from "@klio/runtime/processes";
import { type ControlFile, controlFiles, greet } from "./control.js";

/** What the candidate's own server answers while the election runs. */
export interface Candidate {
  readonly server: Server;
  setState(state: "candidate" | "owner"): void;
}

const maxRounds = 200;
const againMs = 20;

/**
 * Makes this process the one that owns the session, if no other does. Resolves to its control socket's path, or to undefined
 * when another process owns the session or is about to.
 */
export async function elect(directory: string, candidate: Candidate): Promise<string | undefined> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const own = join(directory, `control.${process.pid}.own`);
  await rm(own, { force: true });
  await new Promise<void>((resolve, reject) => {
    candidate.server.once("error", reject);
    candidate.server.listen(own, resolve);
  });
  candidate.setState("candidate");
  try {
    for (let round = 0; round < maxRounds; round += 1) {
      const seat = await takeSeat(directory, own);
      if (seat === "taken") return undefined;
      if (seat !== "again" && (await prevail(directory, seat))) {
        candidate.setState("owner");
        await sweepCandidates(directory);
        return seat.path;
      }
      if (seat !== "again") return undefined;
      await sleep(againMs);
    }
    return undefined;
  } finally {
    await rm(own, { force: true });
  }
}

async function takeSeat(directory: string, own: string): Promise<ControlFile | "taken" | "again"> {
  const files = await controlFiles(directory);
  for (const file of files) {
    const other = await greet(file.path);
    if (other === "refused") continue;
    if (other === "silent") return "again";
    other.socket.destroy();
    return other.hello.state === "owner" ? "taken" : "again"; // it will be an owner, or gone, soon
  }
  const number = (files[0]?.number ?? 0) + 1;
  const path = join(directory, `control.${number}.sock`);
  try {
    await link(own, path);
    return { path, number };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return "again";
    throw error;
  }
}

/** Removes what candidates left behind that were killed. */
async function sweepCandidates(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const pid = /^control\.(\d+)\.own$/.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    await rm(join(directory, name), { force: true });
  }
}

/** Looks at everybody else's seat once more: an owner prevails, and of two candidates the one with the lower number. */
async function prevail(directory: string, seat: ControlFile): Promise<boolean> {
  for (const file of await controlFiles(directory)) {
    if (file.number === seat.number) continue;
    for (;;) {
      const other = await greet(file.path);
      if (other === "refused") {
        await rm(file.path, { force: true }); // left behind by a process that was killed
        break;
      }
      if (other === "silent") {
        await rm(seat.path, { force: true });
        return false;
      }
      other.socket.destroy();
      const yields = other.hello.state === "owner" || (other.hello.state === "candidate" && file.number < seat.number);
      if (yields) {
        await rm(seat.path, { force: true });
        return false;
      }
      await sleep(againMs); // a candidate with a higher number sees this one and goes, an ending one goes anyway
    }
  }
  return true;
}
