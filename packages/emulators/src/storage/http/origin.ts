import type { IncomingMessage } from "node:http";
import { forbidden } from "../errors.js";

/** A page in the user's browser must not reach the emulator: neither directly (Origin) nor by a rebound name (Host). */
export function refuseForeignPages(request: IncomingMessage, bound: string): void {
  // A name could be rebound to this machine; an address, or the name the emulator was bound to, could not.
  const known =
    /^(?:localhost|host\.docker\.internal|host\.containers\.internal|(?:\d+\.){3}\d+|\[[0-9a-f:.]+\])(?::\d+)?$/i;
  const ours = (authority: string) => known.test(authority) || authority.replace(/:\d+$/, "") === bound;
  const origin = request.headers.origin;
  if (origin !== undefined && !ours(origin.replace(/^https?:\/\//, ""))) {
    throw forbidden("requests from web pages are refused");
  }
  if (!ours(request.headers.host ?? "localhost")) {
    throw forbidden(`requests for host ${request.headers.host} are refused`);
  }
}
