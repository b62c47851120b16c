import { readdir } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { type FromSession, type Hello, receive } from "./protocol.js";

// Who runs a session is known by its control socket, control.<n>.sock: it is put in place, by a hard link, only while its
// process listens on it, so a socket that refuses connections belongs to a process that is gone. n only grows while any is
// there, so that putting control.<n>.sock in place can succeed for one process only.

export interface ControlFile {
  readonly path: string;
  readonly number: number;
}

/** The control sockets that lie in a directory, the highest number first. */
export async function controlFiles(directory: string): Promise<ControlFile[]> {
  const names = await readdir(directory).catch(() => []);
  return names
    .flatMap((name) => {
      const number = /^control\.(\d+)\.sock$/.exec(name)?.[1];
      return number === undefined ? [] : [{ path: join(directory, name), number: Number(number) }];
    })
    .sort((a, b) => b.number - a.number);
}

const helloMs = 3_000;

/**
 * Connects and waits for the greeting. "refused": nobody listens there any more. "silent": somebody does, but does not answer;
 * it may be stopped or busy, and is not to be taken for dead.
 */
export async function greet(path: string): Promise<{ socket: Socket; hello: Hello } | "refused" | "silent"> {
  const socket = connect(path);
  socket.on("error", () => undefined);
  const hello = await new Promise<Hello | "refused" | "silent">((resolve) => {
    const give = (value: Hello | "refused" | "silent") => {
      clearTimeout(timer);
      resolve(value);
    };
    const timer = setTimeout(() => {
      give("silent");
    }, helloMs);
    socket.once("error", () => {
      give("refused");
    });
    socket.once("close", () => {
      give("refused");
    });
    receive(socket, (message) => {
      const { type } = message as FromSession;
      if (type === "hello") give(message as Hello);
      else socket.emit("message", message);
    });
  });
  if (typeof hello === "string") {
    socket.destroy();
    return hello;
  }
  return { socket, hello };
}
