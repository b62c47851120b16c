import type { IncomingMessage } from "node:http";
import { forbidden } from "../errors.js";

/** A page in the user's browser must not reach the emulator: neither directly (Origin) nor by a rebound name (Host). */
export function refuseForeignPages(request: IncomingMessage, bound: string): void {
  const { origin, host = "localhost" } = request.headers;
  if (origin !== undefined && !isLoopback(hostOf(origin)) && hostOf(origin) !== bound) {
    throw forbidden("requests from web pages are refused");
  }
  // A name could be rebound to this machine; an address, or the name the emulator was bound to, could not.
  const known = /^(?:localhost|host\.docker\.internal|host\.containers\.internal|(?:\d+\.){3}\d+|\[[0-9a-f:.]+\])$/i;
  if (!known.test(hostOf(host)) && hostOf(host) !== bound) throw forbidden(`requests for host ${host} are refused`);
}

const hostOf = (authority: string) => authority.replace(/^https?:\/\//, "").replace(/:\d+$/, "");
const isLoopback = (host: string) => /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/i.test(host);
