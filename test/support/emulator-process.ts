import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { root } from "./rig.js";

/** An emulator in a process of its own, so that it can be killed. SIGUSR2 lets Pub/Sub start anew within the process. */
export class EmulatorProcess {
  private constructor(
    readonly child: ChildProcess,
    /** `host:port` of Pub/Sub, the URL of Cloud Storage. */
    readonly address: string,
  ) {}

  /** `folder` is for its program; `options` are those of its start that JSON can carry. */
  static async start(
    folder: string,
    options: object,
    start: "startPubSub" | "startStorage" = "startPubSub",
  ): Promise<EmulatorProcess> {
    const program = join(folder, "emulator.mjs");
    const library = JSON.stringify(join(root, "dist/emulators/index.js"));
    writeFileSync(
      program,
      `import { ${start} } from ${library};
const emulator = await ${start}(JSON.parse(process.argv[2]));
process.on("SIGUSR2", () => void emulator.restart());
process.on("SIGTERM", () => void emulator.close());
console.log(emulator.address ?? emulator.url);`,
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
