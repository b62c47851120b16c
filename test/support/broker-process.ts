import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Ledger } from "./ledger/ledger.js";
import { type RigBroker, root } from "./rig.js";
import { freePort } from "./targets.js";

const library = join(root, "dist/emulators/index.js");

// Appends what the broker observes to the ledger itself: it is killed with kill -9, and nothing it saw may be lost.
const program = `import { appendFileSync } from "node:fs";
import { startPubSub } from ${JSON.stringify(library)};
const [, , options, ledger] = process.argv;
const note = (entry) => appendFileSync(ledger, JSON.stringify({ ...entry, source: "broker", time: Date.now() }) + "\\n");
note({ kind: "start" });
const observe = ({ resource, ...event }) => note({ ...event, resource: resource.slice(resource.lastIndexOf("/") + 1) });
const emulator = await startPubSub({ ...JSON.parse(options), observe });
console.log(emulator.address);
`;

/** A Pub/Sub emulator in a process of its own that can be killed, and started again at the same address. */
export class BrokerProcess implements RigBroker {
  private constructor(
    readonly ledger: Ledger,
    readonly folder: string,
    readonly directory: string | undefined,
    public child: ChildProcess,
    readonly address: string,
  ) {}

  /** `directory`: where it keeps what it has; without, that ends with it. */
  static async start(ledger: Ledger, folder: string, directory?: string): Promise<BrokerProcess> {
    writeFileSync(join(folder, "broker.mjs"), program);
    const { child, address } = await launch(ledger, folder, directory, await freePort());
    return new BrokerProcess(ledger, folder, directory, child, address);
  }

  /** kill -9. */
  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill("SIGKILL");
    await ended;
  }

  async startAgain(): Promise<void> {
    const port = Number(this.address.split(":").at(-1));
    const { child, address } = await launch(this.ledger, this.folder, this.directory, port);
    this.child = child;
    if (address !== this.address) throw new Error(`the broker came back at ${address}, not at ${this.address}`);
  }

  close(): Promise<void> {
    return this.kill();
  }
}

async function launch(ledger: Ledger, folder: string, directory: string | undefined, port: number) {
  const options = JSON.stringify({ port, ...(directory === undefined ? {} : { directory }) });
  const child = spawn(process.execPath, [join(folder, "broker.mjs"), options, ledger.path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const address = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve);
    child.once("exit", (code) => {
      reject(new Error(`the broker ended with ${code}`));
    });
  });
  return { child, address };
}
