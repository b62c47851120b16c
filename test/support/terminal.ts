import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { it } from "vitest";

const hasTmux = (() => {
  try {
    execFileSync("tmux", ["-V"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();
if (!hasTmux && process.env["CI"] === "true") throw new Error("tmux is not installed");

/** A test that needs a terminal; skipped where there is no tmux. */
export const inTerminal = hasTmux ? it : it.skip;

/** A real terminal with a shell in it. */
export class Terminal {
  readonly #socket: string;

  constructor(
    readonly cwd: string,
    readonly environment: NodeJS.ProcessEnv,
    size: { readonly columns: number; readonly rows: number } = { columns: 100, rows: 30 },
  ) {
    this.#socket = join(cwd, "tmux.sock");
    const { columns, rows } = size;
    this.#tmux("new-session", "-d", "-x", String(columns), "-y", String(rows), "-c", cwd, "sh");
  }

  #tmux(...args: string[]): string {
    return execFileSync("tmux", ["-S", this.#socket, ...args], {
      encoding: "utf8",
      env: { ...this.environment, TERM: "xterm", PS1: "$ " },
      stdio: ["ignore", "pipe", "ignore"],
    });
  }

  /** Types a command and presses Enter. */
  run(command: string): void {
    this.type(command);
    this.press("Enter");
  }

  type(text: string): void {
    this.#tmux("send-keys", "-l", text);
  }

  press(key: string): void {
    this.#tmux("send-keys", key);
  }

  /** What can be seen. */
  screen(): string {
    return this.#tmux("capture-pane", "-p").trimEnd();
  }

  /** Waits until a text can be seen, and returns the screen. */
  async until(text: string | RegExp, ms = 20_000): Promise<string> {
    const end = Date.now() + ms;
    for (;;) {
      const screen = this.screen();
      if (typeof text === "string" ? screen.includes(text) : text.test(screen)) return screen;
      if (Date.now() > end) throw new Error(`waited in vain for "${String(text)}":\n${screen}`);
      await sleep(50);
    }
  }

  /** Closes the window, as a person does: what runs in it is sent SIGHUP. */
  close(): void {
    try {
      this.#tmux("kill-server");
    } catch {
      // closed already
    }
  }
}
