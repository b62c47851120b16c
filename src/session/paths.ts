import { createHash } from "node:crypto";
import { join } from "node:path";

/** Which session is meant, and where users keep state. */
export interface SessionKey {
  readonly project: string;
  /** `KLIO_SESSION`: a session of one's own beside the project's. */
  readonly name: string | undefined;
  /** The user's state directory, e.g. `~/.local/state`. */
  readonly stateHome: string;
  /** For control sockets whose path would otherwise be too long. */
  readonly temporary: string;
}

// sockaddr_un holds 108 bytes on Linux, 104 on macOS.
const longestSocketPath = 100;

/** The state directory of a session. */
export function stateDirectory(key: SessionKey): string {
  const project = key.project.replace(/[^a-z0-9.-]/g, "_");
  const name = key.name === undefined ? "" : `@${key.name.replace(/[^A-Za-z0-9_-]/g, "_")}`;
  return join(key.stateHome, "klio", "sessions", `${project}${name}`);
}

/** Where a session's Pub/Sub keeps its messages, topics and subscriptions. */
export function pubsubDirectory(key: SessionKey): string {
  return join(stateDirectory(key), "pubsub");
}

/** The directory of a session's control sockets. */
export function socketDirectory(key: SessionKey): string {
  const state = stateDirectory(key);
  if (Buffer.byteLength(join(state, "control.999999.sock.999999")) <= longestSocketPath) return state;
  const hash = createHash("sha256").update(state).digest("hex").slice(0, 12);
  return join(key.temporary, `klio-session-${hash}`);
}

/** The user's state directory by the XDG base directory specification. */
export function stateHomeOf(environment: NodeJS.ProcessEnv, home: string): string {
  const set = environment["XDG_STATE_HOME"];
  return set !== undefined && set.startsWith("/") ? set : join(home, ".local", "state");
}
