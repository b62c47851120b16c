import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { EffectiveConfig } from "@klio/config/effective";
import { Limits } from "../limits.js";
import { defaultMemory } from "./memory-watch.js";
import { WorkerProcess } from "./worker-process.js";
import type { StartWorker } from "./worker.js";

export interface Workers {
  readonly start: StartWorker;
  /** How many there are. */
  readonly count: number;
  /** Bytes that each may take. */
  readonly memory: number;
}

/** Worker processes when the configuration does not say: one for each processor, but no crowd. */
const mostDefaultWorkers = 8;

/** What the module for inline jobs exports. */
interface Inline {
  readonly startInline: (limits: Limits) => StartWorker;
}

interface Place {
  /** Folder of the runtime's modules. */
  readonly bundles: string;
  /** Folder for the workers' temporary files. */
  readonly temporary: string;
  readonly processors: number;
}

/** How the job's code is run, as `workers.mode` says. */
export async function makeWorkers(config: EffectiveConfig, place: Place): Promise<Workers> {
  const { bundles, temporary, processors } = place;
  const { mode, count, memory_bytes, limits: sizes } = config.job_config.workers;
  const limits = new Limits(sizes);
  if (mode === "inline") {
    // Loaded only then: with it comes all that workers are made of.
    const url = pathToFileURL(join(bundles, "inline.js")).href;
    const { startInline } = (await import(url)) as Inline;
    return { start: startInline(limits), count: 1, memory: Infinity };
  }
  const entry = join(bundles, "worker.js");
  const workers = count === 0 ? Math.min(processors, mostDefaultWorkers) : count;
  return {
    start: (options, events) =>
      new WorkerProcess({ ...options, entry, limits, folder: join(temporary, `worker-${options.number}`) }, events),
    count: workers,
    memory: memory_bytes === 0 ? defaultMemory(workers) : memory_bytes,
  };
}
