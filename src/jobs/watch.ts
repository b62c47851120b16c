import { join, relative } from "node:path";
import { isBuilt } from "./build.js";
import type { LoadedJob } from "./load.js";

export interface ChangedFiles {
  /** The configuration is among them. */
  readonly config: boolean;
  /** Code, or a file beside it, is among them. */
  readonly code: boolean;
}

/** How long a save may take to write all its files, in milliseconds. */
const quietMs = 15;

/** Calls `onChange` after files of a job were saved. Resolves, once none can be missed, to what ends it. */
export async function watchJob(
  job: LoadedJob,
  onChange: (changed: ChangedFiles) => void,
): Promise<() => Promise<void>> {
  const { watch } = await import("chokidar");
  const { directory, configFile } = job;
  const watcher = watch([join(directory, "src"), configFile], {
    ignoreInitial: true,
    ignored: (path) => /[\\/]node_modules([\\/]|$)/.test(path),
  });
  let pending = { config: false, code: false };
  let timer: NodeJS.Timeout | undefined;
  watcher.on("all", (_, path) => {
    if (path === configFile) pending = { ...pending, config: true };
    else if (isBuilt(relative(directory, path))) pending = { ...pending, code: true };
    else return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      const changed = pending;
      pending = { config: false, code: false };
      onChange(changed);
    }, quietMs);
  });
  watcher.on("error", () => undefined); // a folder that goes away is seen as such
  await new Promise<void>((resolve) => watcher.once("ready", resolve));
  return async () => {
    clearTimeout(timer);
    await watcher.close();
  };
}
