import { findSession, type Session, type SessionKey } from "../session/index.js";

/** Which broker a command talks to. */
export interface BrokerChoice {
  /** `host:port`; undefined for the cloud. */
  readonly emulator: string | undefined;
  /** For people: where that is. */
  readonly where: string;
  /** The local session, when that is where. */
  readonly session: Session | undefined;
}

export interface BrokerOptions {
  /** `--emulator`. */
  readonly emulator: string | undefined;
  /** `--cloud`. */
  readonly cloud: boolean;
  /** PUBSUB_EMULATOR_HOST. */
  readonly environment: string | undefined;
  readonly session: SessionKey;
}

/** In this order: an explicit flag, PUBSUB_EMULATOR_HOST, the live session of the project, the cloud. */
export async function chooseBroker(options: BrokerOptions): Promise<BrokerChoice> {
  const { emulator, environment } = options;
  if (emulator !== undefined) return { emulator, where: `the emulator at ${emulator}`, session: undefined };
  if (options.cloud) return cloud(options.session.project);
  const session = await findSession(options.session);
  if (environment !== undefined && environment !== "") {
    const same = session?.pubsub === environment ? session : undefined;
    if (same === undefined) session?.leave();
    return { emulator: environment, where: `the emulator at ${environment} (PUBSUB_EMULATOR_HOST)`, session: same };
  }
  if (session !== undefined) {
    const where = `the local session of ${options.session.project} at ${session.pubsub}`;
    return { emulator: session.pubsub, where, session };
  }
  return cloud(options.session.project);
}

function cloud(project: string): BrokerChoice {
  return { emulator: undefined, where: `Google Cloud, project ${project}`, session: undefined };
}
