import { lstatSync, mkdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { openPubSub, openStorage } from "../../cloud/index.js";
import { KlioError } from "../../errors.js";
import { type BuiltJob, buildJob, type LoadedJob } from "../../jobs/index.js";
import { type Ensured, ensureResources, planResources } from "../../resources/index.js";
import { joinSession, type Outcome, type Session, type SessionKey } from "../../session/index.js";
import { type DirectRun, type RunEvent, runDirect } from "./run.js";

export interface LocalRunOptions {
  readonly job: LoadedJob;
  readonly session: SessionKey;
  /** The session process's module. */
  readonly sessionEntry: string;
  /** The runtime for jobs that have none installed. */
  readonly bundledRuntime: string;
  readonly onEvent: (event: RunEvent) => void;
  readonly onNoise: (line: string) => void;
  /** The session went away under the job. */
  readonly onSessionGone: () => void;
}

export interface LocalRun extends DirectRun {
  readonly session: Session;
  readonly built: BuiltJob;
  readonly ensured: readonly Ensured[];
}

/**
 * Builds a job and runs it in the local session of its project: starts or joins the session, creates the job's topics,
 * subscriptions and buckets there, and reports each message's outcome to it. Throws a KlioError when any of that fails.
 */
export async function runLocally(options: LocalRunOptions): Promise<LocalRun> {
  const { job } = options;
  const joining = joinSession(options.session, options.sessionEntry);
  const building = buildJob(job, options.bundledRuntime);
  const [session, built] = await Promise.allSettled([joining, building]).then(([s, b]) => {
    if (s.status === "fulfilled" && b.status === "rejected") s.value.leave();
    if (b.status === "rejected") throw b.reason;
    if (s.status === "rejected") throw s.reason;
    return [s.value, b.value] as const;
  });
  try {
    linkStorage(job.directory, session.root);
    const ensured = await ensure(job, session);
    session.announceJob(job.config.job_name);
    session.onGone(options.onSessionGone);
    const run = runDirect({
      runtime: built.runtime,
      buildDirectory: built.directory,
      addresses: session,
      onNoise: options.onNoise,
      onEvent: (event) => {
        if (event.event === "outcome") session.reportOutcome(event as unknown as Outcome);
        options.onEvent(event);
      },
    });
    const exited = run.exited.finally(() => {
      session.leave();
    });
    return { ...run, exited, session, built, ensured };
  } catch (error) {
    session.leave();
    throw error;
  }
}

async function ensure(job: LoadedJob, session: Session): Promise<Ensured[]> {
  const [pubsub, storage] = await Promise.all([
    openPubSub(session.pubsub),
    openStorage(job.config.pipeline_options.project, session.storage),
  ]);
  try {
    return await ensureResources(planResources(job.config), pubsub, storage);
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
