import type { Server } from "node:net";
import type { AddressInfo } from "node:net";

export interface ListenOptions {
  /** Address to bind; loopback unless told otherwise. */
  readonly host: string;
  /** Port to try first; 0 takes any free one. */
  readonly port: number;
}

/**
 * Listens on the wanted port, or on a free one when the wanted one is taken or not ours to take.
 * Resolves to the port in use. Other failures (an address that is not this machine's) reject.
 */
export async function listenOrNext(server: Server, options: ListenOptions): Promise<number> {
  try {
    return await listen(server, options.host, options.port);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (options.port === 0 || (code !== "EADDRINUSE" && code !== "EACCES")) throw error;
    return listen(server, options.host, 0);
  }
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}
