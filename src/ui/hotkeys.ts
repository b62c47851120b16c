import { emitKeypressEvents } from "node:readline";

export interface Hotkey {
  readonly key: string;
  readonly what: string;
  readonly press: () => void;
}

/** `r restart · q quit`, the keys that a run listens to. */
export function hotkeyLine(keys: readonly Hotkey[]): string {
  return keys.map(({ key, what }) => `${key} ${what}`).join(" · ");
}

/** Listens to single keys on a terminal; Ctrl-C calls `interrupt`. Returns what gives the terminal back. */
export function listenToKeys(keys: readonly Hotkey[], interrupt: () => void): () => void {
  const { stdin } = process;
  emitKeypressEvents(stdin);
  stdin.setRawMode(true);
  const resume = () => {
    stdin.setRawMode(true);
  };
  const suspend = () => {
    stdin.setRawMode(false);
    process.once("SIGCONT", resume);
    process.kill(process.pid, "SIGTSTP");
  };
  const handle = (text: string | undefined, key: { readonly ctrl: boolean; readonly name?: string }) => {
    // In raw mode the terminal sends no signal.
    if (key.ctrl && key.name === "c") interrupt();
    else if (key.ctrl && key.name === "z") suspend();
    else keys.find((k) => k.key === text)?.press();
  };
  stdin.on("keypress", handle);
  stdin.resume();
  return () => {
    stdin.off("keypress", handle);
    process.off("SIGCONT", resume);
    stdin.setRawMode(false);
    stdin.pause();
  };
}
