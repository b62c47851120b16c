import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isAlive } from "@klio/runtime/processes";
import { buildJob, type BuiltJob } from "./build.js";
import type { LoadedJob } from "./load.js";

/**
 * The builds of a job that runs, each in a folder of its own, so that code in hand never changes under it and two runs of a job
 * do not meet. Folders that killed runs left behind are removed.
 */
export class RunBuilds {
  readonly #folders: string[] = [];

  constructor(
    readonly directory: string,
    readonly bundledRuntime: string,
  ) {
    for (const name of foldersIn(join(directory, ".klio", "run"))) {
      const pid = Number(/^(\d+)-/.exec(name)?.[1]);
      if (!isAlive(pid)) remove(join(directory, ".klio", "run", name));
    }
  }

  async build(job: LoadedJob): Promise<BuiltJob> {
    count += 1;
    const folder = join(".klio", "run", `${process.pid}-${count}`);
    this.#folders.push(join(this.directory, folder));
    return buildJob(job, this.bundledRuntime, folder);
  }

  discard(built: BuiltJob): void {
    remove(built.directory);
  }

  close(): void {
    for (const folder of this.#folders) remove(folder);
  }
}

let count = 0;

function foldersIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function remove(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}
