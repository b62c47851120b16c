import type { AddressInfo, Server } from "node:net";

/**
 * Listens on the wanted port, or on a free one when the wanted one is taken or not ours to take; 0 takes any free one.
 * Resolves to the port in use. Other failures (an address that is not this machine's) reject.
 */
export async function listenOrNext(server: Server, host: string, port: number): Promise<number> {
  try {
    return await listen(server, host, port);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (port === 0 || (code !== "EADDRINUSE" && code !== "EACCES")) throw error;
    return listen(server, host, 0);
  }
}

/** Listens on this port. Resolves to the port in use; rejects when it is taken. */
export function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** An address by which this machine reaches what listens on `host`: a wildcard is none. */
export function reachable(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}

/** `host:port`, as it stands in a URL. */
export function addressOf(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
