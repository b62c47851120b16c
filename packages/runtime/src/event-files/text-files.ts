import { createReadStream, createWriteStream, existsSync, statSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { Storage } from "@google-cloud/storage";
import picomatch from "picomatch";
import { globSync } from "tinyglobby";
import { messageOf } from "../error-message.js";
import { syncFolder } from "../durable.js";
import type { ObjectPath, ObjectStore } from "../objects/store.js";

/** A file of events cannot be read or written; the message says which and why. */
export class EventFileError extends Error {
  override readonly name = "EventFileError";

  constructor(
    readonly code: "EVENT_INPUT" | "EVENT_OUTPUT",
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Text files, local or in Cloud Storage. Clients are loaded when the first `gs://` is met. */
export class TextFiles {
  #storage: Promise<Storage> | undefined;
  #objects: Promise<ObjectStore> | undefined;

  constructor(
    readonly project: string,
    readonly emulator: string | undefined,
  ) {}

  /** The files a location stands for, by name. Throws an {@link EventFileError} when there is none. */
  async list(location: string): Promise<string[]> {
    const found = location.startsWith("gs://") ? await this.#listObjects(location) : listFiles(location);
    if (found.length > 0) return found.sort((a, b) => (a < b ? -1 : 1));
    const where = location.startsWith("gs://") ? location : resolve(location);
    throw new EventFileError("EVENT_INPUT", `no file is there: ${where}`);
  }

  /** Throws an {@link EventFileError}; what goes wrong later is an error of the stream. */
  async open(file: string): Promise<Readable> {
    if (!file.startsWith("gs://")) return createReadStream(file);
    // With the store of items: a download that breaks goes on, and one that ends well has every byte.
    this.#objects ??= import("../objects/gcs-store.js").then(({ GcsStore }) => {
      return new GcsStore({
        project: this.project,
        ...(this.emulator === undefined ? {} : { emulator: this.emulator }),
      });
    });
    try {
      // As it is stored: whether it is compressed is for its bytes to tell.
      return await (await this.#objects).open(split(file), unending, { asStored: true });
    } catch (error) {
      const why = messageOf(error);
      throw new EventFileError("EVENT_INPUT", `${file} cannot be read: ${why}`, { cause: error });
    }
  }

  /** Writes lines, whole or not at all, with their parents. */
  async write(file: string, lines: AsyncIterable<string>, gzip: boolean): Promise<void> {
    const object = await this.#object(file);
    const text = Readable.from(withNewlines(lines));
    const steps = gzip ? [createGzip()] : [];
    try {
      if (object !== undefined) {
        const target = object.createWriteStream({
          resumable: false,
          contentType: gzip ? "application/gzip" : "text/plain",
        });
        await pipeline([text, ...steps, target]);
        return;
      }
      // Hidden, and always the same name: what a killed process leaves is overwritten by the next.
      const staged = join(dirname(file), `.${basename(file)}.klio-new`);
      await mkdir(dirname(file), { recursive: true });
      try {
        await pipeline([text, ...steps, createWriteStream(staged, { flush: true })]);
        await rename(staged, file);
        await syncFolder(dirname(file));
      } finally {
        await rm(staged, { force: true });
      }
    } catch (error) {
      const why = messageOf(error);
      throw new EventFileError("EVENT_OUTPUT", `${file} cannot be written: ${why}`, { cause: error });
    }
  }

  async remove(file: string): Promise<void> {
    const object = await this.#object(file);
    if (object === undefined) await rm(file, { force: true });
    else await object.delete({ ignoreNotFound: true });
  }

  async #listObjects(location: string): Promise<string[]> {
    const { bucket, name } = split(location);
    const isGlob = picomatch.scan(name).isGlob;
    const prefix = isGlob ? (/^[^*?[\]{}()!+@]*/.exec(name)?.[0] ?? "") : name;
    try {
      const [objects] = await (await this.#client()).bucket(bucket).getFiles({ prefix });
      const matches = isGlob ? picomatch(name) : (n: string) => n === name;
      // A name that ends in a slash is a folder as the console makes them.
      return objects
        .map((o) => o.name)
        .filter((n) => matches(n) && !n.endsWith("/"))
        .map((n) => `gs://${bucket}/${n}`);
    } catch (error) {
      const why = messageOf(error);
      throw new EventFileError("EVENT_INPUT", `${location} cannot be listed: ${why}`, { cause: error });
    }
  }

  async #object(file: string) {
    if (!file.startsWith("gs://")) return undefined;
    const { bucket, name } = split(file);
    return (await this.#client()).bucket(bucket).file(name);
  }

  #client(): Promise<Storage> {
    this.#storage ??= import("@google-cloud/storage").then(({ Storage: Client }) => {
      const endpoint = this.emulator === undefined ? {} : { apiEndpoint: this.emulator };
      return new Client({ projectId: this.project, ...endpoint });
    });
    return this.#storage;
  }
}

/** The process that reads ends with whoever asked for it. */
const unending = new AbortController().signal;

async function* withNewlines(lines: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const line of lines) yield `${line}\n`;
}

function split(location: string): ObjectPath {
  const [bucket = "", ...name] = location.slice("gs://".length).split("/");
  return { bucket, name: name.join("/") };
}

function listFiles(location: string): string[] {
  if (existsSync(location)) {
    if (statSync(location).isFile()) return [location];
    throw new EventFileError("EVENT_INPUT", `${location} is a folder; its files are ${location.replace(/\/+$/, "")}/*`);
  }
  return globSync(location, {
    onlyFiles: true,
    absolute: location.startsWith("/"),
    expandDirectories: false,
  });
}
