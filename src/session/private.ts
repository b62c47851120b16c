import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { isAlive } from "@klio/runtime/processes";
import { KlioError } from "../errors.js";
import type { EmulatorFaults } from "./options.js";

export interface PrivateEmulators {
  /** `host:port`. */
  readonly pubsub: string;
  /** `http://host:port`. */
  readonly storage: string;
  /** The folder with a folder for each bucket; it is removed at the end. */
  readonly root: string;
  close(): Promise<void>;
}

const prefix = "klio-exec-";

/** Starts both emulators in this process, for it alone: messages in memory, objects in a temporary folder, free ports. */
export async function startPrivate(host: string, temporary: string, faults: EmulatorFaults): Promise<PrivateEmulators> {
  sweep(temporary);
  const root = mkdtempSync(join(temporary, `${prefix}${process.pid}-`));
  const remove = () => {
    rmSync(root, { recursive: true, force: true });
  };
  try {
    const { startPubSub, startStorage } = await import("./embedded.js");
    const pubsub = await startPubSub({ host, faults: faults.pubsub });
    const storage = await startStorage({ host, root, faults: faults.storage }).catch(async (error: unknown) => {
      await pubsub.close();
      throw error;
    });
    return {
      pubsub: pubsub.address,
      storage: storage.url,
      root: storage.root,
      async close() {
        try {
          await Promise.all([pubsub.close(), storage.close()]);
        } finally {
          remove();
        }
      },
    };
  } catch (error) {
    remove();
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "EADDRNOTAVAIL" && code !== "ENOTFOUND" && code !== "EINVAL") throw error;
    throw new KlioError("EMULATORS_BIND", `the emulators cannot listen on ${host}: ${message}`, {
      hint: "--bind takes an address of this machine; see: ip address",
      cause: error,
    });
  }
}

/** Removes the folders of processes that were killed. */
function sweep(temporary: string): void {
  for (const name of readdirSync(temporary)) {
    const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    try {
      const path = join(temporary, name);
      if (statSync(path).uid === process.getuid?.()) rmSync(path, { recursive: true, force: true });
    } catch {
      // Somebody else's, or gone: no reason not to start.
    }
  }
}
