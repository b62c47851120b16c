import { dirname, join, relative, sep } from "node:path";
import { isBuilt } from "./build.js";
import type { LoadedJob } from "./load.js";

export interface ChangedFiles {
  /** The configuration is among them; else it is code, or files beside it. */
  readonly config: boolean;
}

/**
 * How long a save may take to write all its files, in milliseconds. More than the 50 for which chokidar keeps silent about a
 * file after it told of a change: a file that was emptied first and filled then would otherwise be seen empty, and stay so.
 */
const quietMs = 60;

/**
 * Calls `onChange` after files of a job were saved. Resolves, once none can be missed, to what ends it.
 * `onError`: some files cannot be watched, e.g. because the system's limit is reached.
 */
export async function watchJob(
  job: LoadedJob,
  onChange: (changed: ChangedFiles) => void,
  onError: (error: unknown) => void,
): Promise<() => Promise<void>> {
  const { watch } = await import("chokidar");
  const { directory, configFile } = job;
  const source = join(directory, "src");
  const isOfInterest = (path: string) =>
    path === configFile || path === directory || path === source || path.startsWith(source + sep);
  // The folders above, because src itself may be moved away and come back.
  const watcher = watch([...new Set([directory, dirname(configFile)])], {
    ignoreInitial: true,
    ignored: (path) =>
      (!isOfInterest(path) && path !== dirname(configFile)) || path.includes(`${sep}node_modules${sep}`),
  });
  let config = false;
  let timer: NodeJS.Timeout | undefined;
  watcher.on("all", (_, path) => {
    if (path === configFile) config = true;
    else if (!isBuilt(relative(directory, path))) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      const changed = { config };
      config = false;
      onChange(changed);
    }, quietMs);
  });
  watcher.on("error", onError);
  await new Promise<void>((resolve) => watcher.once("ready", resolve));
  return async () => {
    clearTimeout(timer);
    await watcher.close();
  };
}
