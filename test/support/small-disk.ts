import { spawnSync } from "node:child_process";

/** Why a small disk cannot be made here; undefined when it can. */
export function smallDiskMissing(): string | undefined {
  const made = spawnSync("unshare", ["--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
  return made.status === 0 ? undefined : `no disk can be mounted here: ${String(made.error ?? made.stderr)}`;
}

/** A command that runs another, given as further arguments, with a disk of this size at `folder` that ends with it. */
export function withSmallDisk(folder: string, megabytes: number): readonly string[] {
  const script = `mount -t tmpfs -o size=${megabytes}m tmpfs "$0" && exec "$@"`;
  return ["unshare", "--map-root-user", "--mount", "sh", "-c", script, folder];
}
