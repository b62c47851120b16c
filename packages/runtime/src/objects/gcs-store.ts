import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type File, Storage } from "@google-cloud/storage";
import type { UploadSource } from "../api/context.js";
import { InputNotFoundError } from "../api/errors.js";
import { Crc32c } from "./crc32c.js";
import {
  GenerationMismatchError,
  type ObjectPath,
  type ObjectState,
  type ObjectStore,
  uriOf,
  type WriteOptions,
  type Written,
} from "./store.js";

export interface GcsOptions {
  readonly project: string;
  /** `http://host:port` of an emulator; absent: Cloud Storage with the application's default credentials. */
  readonly emulator?: string;
}

/** The metadata key under which an object remembers the requests that wrote it. */
const byKey = "klio-by";
/** Sources of a known size up to this many bytes go up in one request. */
const oneRequestBytes = 8 * 1024 * 1024;

/** Objects in Cloud Storage, through the official client. */
export class GcsStore implements ObjectStore {
  readonly #storage: Storage;

  constructor(options: GcsOptions) {
    this.#storage = new Storage({
      projectId: options.project,
      crc32cGenerator: () => new Crc32c(),
      ...(options.emulator === undefined ? {} : { apiEndpoint: options.emulator }),
    });
  }

  async stat(path: ObjectPath): Promise<ObjectState | undefined> {
    try {
      const [metadata] = await this.#file(path).getMetadata();
      const by = metadata.metadata?.[byKey];
      return {
        generation: String(metadata.generation),
        by: typeof by === "string" && by !== "" ? by.split(",") : [],
      };
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }

  async read(path: ObjectPath, signal: AbortSignal): Promise<Uint8Array> {
    try {
      const [bytes] = await abortable(this.#file(path).download(), signal);
      return bytes;
    } catch (error) {
      throw statusOf(error) === 404 ? new InputNotFoundError(uriOf(path)) : error;
    }
  }

  async open(path: ObjectPath, signal: AbortSignal): Promise<Readable> {
    if ((await this.stat(path)) === undefined) throw new InputNotFoundError(uriOf(path));
    const stream = this.#file(path).createReadStream();
    stream.on("error", () => undefined); // whoever reads it is told; nobody reading is no reason to end the worker
    signal.throwIfAborted();
    const stop = () => stream.destroy(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true });
    stream.once("close", () => {
      signal.removeEventListener("abort", stop);
    });
    return stream;
  }

  async write(path: ObjectPath, data: UploadSource, options: WriteOptions, signal: AbortSignal): Promise<Written> {
    const file = this.#file(path);
    const settings = {
      preconditionOpts: { ifGenerationMatch: options.ifGenerationMatch },
      metadata: { contentType: options.contentType, metadata: { [byKey]: options.by.join(",") } },
    };
    try {
      if (typeof data === "string" || data instanceof Uint8Array) {
        const bytes =
          typeof data === "string" ? Buffer.from(data) : Buffer.from(data.buffer, data.byteOffset, data.length);
        await abortable(file.save(bytes, { ...settings, resumable: bytes.length > oneRequestBytes }), signal);
      } else {
        await pipeline(Readable.from(data), file.createWriteStream({ ...settings, resumable: true }), { signal });
      }
    } catch (error) {
      throw statusOf(error) === 412 ? new GenerationMismatchError(uriOf(path)) : error;
    }
    return { generation: String(file.metadata.generation), size: Number(file.metadata.size) };
  }

  #file(path: ObjectPath): File {
    return this.#storage.bucket(path.bucket).file(path.name);
  }
}

/** Gives up waiting when the signal aborts; what the client has begun goes on by itself. */
async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => {
      reject(signal.reason as Error);
    };
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function statusOf(error: unknown): number | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  const { code, status } = error as { code?: unknown; status?: unknown };
  return typeof code === "number" ? code : typeof status === "number" ? status : undefined;
}
