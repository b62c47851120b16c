import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { User } from "../support/klio.js";
import { root } from "../support/rig.js";

const hasTmux = (() => {
  try {
    execFileSync("tmux", ["-V"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();
if (!hasTmux && process.env["CI"] === "true") throw new Error("tmux is not installed");
const withTmux = hasTmux ? it : it.skip;

let user: User;
let terminal: Terminal;

/** A real terminal with a shell in it. */
class Terminal {
  readonly #socket: string;

  constructor(readonly cwd: string) {
    this.#socket = join(cwd, "tmux.sock");
    this.#tmux("new-session", "-d", "-x", "100", "-y", "30", "-c", cwd, "sh");
  }

  #tmux(...args: string[]): string {
    return execFileSync("tmux", ["-S", this.#socket, ...args], {
      encoding: "utf8",
      env: { ...user.environment, TERM: "xterm", PS1: "$ " },
    });
  }

  type(text: string): void {
    this.#tmux("send-keys", "-l", text);
  }

  press(key: string): void {
    this.#tmux("send-keys", key);
  }

  screen(): string {
    return this.#tmux("capture-pane", "-p").trimEnd();
  }

  async until(text: string): Promise<void> {
    const end = Date.now() + 15_000;
    while (!this.screen().includes(text)) {
      if (Date.now() > end) throw new Error(`waited in vain for "${text}":\n${this.screen()}`);
      await sleep(50);
    }
  }

  close(): void {
    this.#tmux("kill-server");
  }
}

beforeEach(async () => {
  if (!hasTmux) return;
  user = await User.create();
  terminal = new Terminal(user.home);
});

afterEach(async () => {
  if (!hasTmux) return;
  terminal.close();
  await user.remove();
});

const create = `node ${join(root, "bin/run.js")} job create --no-install --output my-job; echo "exit=$?"`;

describe("job create in a terminal", () => {
  withTmux(
    "asks, fills in defaults that follow the job's name, and refuses a wrong answer until it is right",
    async () => {
      terminal.type(create);
      terminal.press("Enter");
      await terminal.until("Template");
      terminal.press("Enter");
      await terminal.until("Name of the job");
      terminal.type("My Job");
      terminal.press("Enter");
      await terminal.until("It must be lower-case letters");
      for (let i = 0; i < 6; i += 1) terminal.press("BSpace");
      terminal.type("songs");
      terminal.press("Enter");
      await terminal.until("Google Cloud project");
      terminal.type("test-project");
      terminal.press("Enter");
      for (const question of ["receives from", "sends to", "input objects are", "output objects go"]) {
        await terminal.until(question);
        terminal.press("Enter");
      }
      await terminal.until("exit=0");
      expect(terminal.screen()).toContain("projects/test-project/topics/songs-input");
      expect(terminal.screen()).toContain("gs://test-project-output/songs");
      expect(readFileSync(join(user.home, "my-job/klio-job.yaml"), "utf8")).toContain("job_name: songs");
    },
  );

  withTmux("leaves nothing behind after Ctrl-C at a prompt", async () => {
    terminal.type(create);
    terminal.press("Enter");
    await terminal.until("Template");
    terminal.press("Enter");
    await terminal.until("Name of the job");
    terminal.press("C-c");
    await terminal.until("exit=130");
    expect(terminal.screen()).not.toMatch(/\n\s+at /);
    expect(existsSync(join(user.home, "my-job"))).toBe(false);
    expect(readdirSync(user.home).filter((f) => f.includes("klio-"))).toEqual([]);
  });
});
