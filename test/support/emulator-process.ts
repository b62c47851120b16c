import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { root } from "./rig.js";

/** The Pub/Sub emulator in a process of its own, so that it can be killed. SIGUSR2 lets it start anew within the process. */
export class EmulatorProcess {
  private constructor(
    readonly child: ChildProcess,
    readonly address: string,
  ) {}

  /** `folder` is for its program; `options` are those of startPubSub that JSON can carry. */
  static async start(folder: string, options: object): Promise<EmulatorProcess> {
    const program = join(folder, "emulator.mjs");
    const library = JSON.stringify(join(root, "dist/emulators/index.js"));
    writeFileSync(
      program,
      `import { startPubSub } from ${library};
const emulator = await startPubSub(JSON.parse(process.argv[2]));
process.on("SIGUSR2", () => void emulator.restart());
process.on("SIGTERM", () => void emulator.close());
console.log(emulator.address);`,
    );
    const child = spawn(process.execPath, [program, JSON.stringify(options)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const address = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).once("line", resolve);
      child.once("exit", (code) => {
        reject(new Error(`the emulator ended with ${code}`));
      });
    });
    return new EmulatorProcess(child, address);
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error("the emulator did not start");
    return this.child.pid;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill(signal);
    await ended;
  }
}
