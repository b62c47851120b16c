import { lstatSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { openPubSub, openStorage } from "../../cloud/index.js";
import { KlioError } from "../../errors.js";
import type { LoadedJob } from "../../jobs/index.js";
import { ensureResources, needsNothing, planResources } from "../../resources/index.js";
import { joinSession, type Session, type SessionKey } from "../../session/index.js";

export interface Surroundings {
  readonly sessionOf: (project: string) => SessionKey;
  /** The session process's module. */
  readonly sessionEntry: string;
}

/** Joins the session of a job's project. Undefined for a job that needs none: it works on files of this machine alone. */
export async function joinFor(job: LoadedJob, surroundings: Surroundings): Promise<Session | undefined> {
  if (needsNothing(planResources(job.config))) return undefined;
  const { project } = job.config.pipeline_options;
  const session = await joinSession(surroundings.sessionOf(project), surroundings.sessionEntry);
  try {
    linkStorage(job.directory, session.root);
    return session;
  } catch (error) {
    session.leave();
    throw error;
  }
}

/** Creates what the job needs in its session. */
export async function ensureFor(job: LoadedJob, session: Session | undefined): Promise<void> {
  if (session === undefined) return;
  const [pubsub, storage] = await Promise.all([
    openPubSub(session.pubsub),
    openStorage(job.config.pipeline_options.project, session.storage),
  ]);
  try {
    await ensureResources(planResources(job.config), pubsub, storage);
  } finally {
    await pubsub.close();
  }
}

/** `.klio/storage` in the job leads to the session's buckets. Throws a KlioError when something else is in its place. */
function linkStorage(directory: string, root: string): void {
  const link = join(directory, ".klio", "storage");
  mkdirSync(dirname(link), { recursive: true });
  const there = lstatSync(link, { throwIfNoEntry: false });
  if (there !== undefined && !there.isSymbolicLink()) {
    throw new KlioError("STORAGE_LINK", `${link} is not klio's link to the local session's storage`, {
      hint: `Move what is in it to ${root} and remove it.`,
    });
  }
  const fresh = `${link}.${process.pid}`;
  rmSync(fresh, { force: true });
  symlinkSync(root, fresh, "dir");
  renameSync(fresh, link);
}

/** Removes what a klio-runtime that was killed left in the folder for temporary files. */
export function sweepAfter(pid: number | undefined, temporary: string): void {
  if (pid === undefined) return;
  for (const name of readdirSync(temporary)) {
    if (name.startsWith(`klio-run-${pid}-`)) rmSync(join(temporary, name), { recursive: true, force: true });
  }
}
