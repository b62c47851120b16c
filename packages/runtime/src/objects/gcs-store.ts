import { constants as bufferConstants } from "node:buffer";
import { createReadStream, createWriteStream } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { pipeline as pipe, type Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { createGunzip, gunzip } from "node:zlib";
import type { UploadSource } from "../api/context.js";
import { streamOf } from "./chunk-stream.js";
import { Crc32c, crc32cText } from "./crc32c.js";
import { GcsClient } from "./gcs/client.js";
import { defaultCredentials } from "./gcs/credentials.js";
import { download, type Target } from "./gcs/download.js";
import { type GcsLimits, gcsLimits } from "./gcs/limits.js";
import { GcsReader } from "./gcs/reader.js";
import { byKey, upload } from "./gcs/upload.js";
import { StorageError } from "./storage-error.js";
import {
  type ObjectPath,
  type ObjectState,
  type ObjectStore,
  type ReadOptions,
  uriOf,
  type WriteOptions,
  type Written,
} from "./store.js";
import { tooLarge } from "./too-large.js";

export interface GcsOptions {
  readonly project: string;
  /** `http://host:port` of an emulator; absent: Cloud Storage with the application's default credentials. */
  readonly emulator?: string;
  /** For tests. */
  readonly limits?: Partial<GcsLimits>;
}

/** Objects in Cloud Storage. */
export class GcsStore implements ObjectStore {
  readonly #client: GcsClient;

  constructor(options: GcsOptions) {
    const { project, emulator } = options;
    const limits = { ...gcsLimits, ...options.limits };
    this.#client =
      emulator === undefined
        ? new GcsClient("https://storage.googleapis.com", defaultCredentials(project), limits)
        : new GcsClient(emulator, () => Promise.resolve({}), limits);
  }

  async stat(path: ObjectPath, signal: AbortSignal): Promise<ObjectState | undefined> {
    const what = `looking for ${uriOf(path)}`;
    const url = this.#client.objectUrl(path, { fields: "generation,size,crc32c,metadata" });
    try {
      const { resource } = await this.#client.askAgain({ what, method: "GET", url }, signal);
      return stateOf(resource, what);
    } catch (error) {
      if (error instanceof StorageError && error.status === 404) return undefined;
      throw error;
    }
  }

  async read(path: ObjectPath, signal: AbortSignal, options: ReadOptions = {}): Promise<Uint8Array> {
    let data = Buffer.alloc(0);
    const head = await download(this.#client, path, signal, options, ({ size }) => {
      if (size > bufferConstants.MAX_LENGTH) throw tooLarge(uriOf(path), size);
      data = Buffer.allocUnsafeSlow(size);
      return (chunk, at) => {
        data.set(chunk, at);
      };
    });
    return head.gzip ? promisify(gunzip)(data) : data;
  }

  async open(path: ObjectPath, signal: AbortSignal, options: ReadOptions = {}): Promise<Readable> {
    const reader = await GcsReader.begin(this.#client, path, signal, options);
    const chunks = (until: AbortSignal) => verified(reader, until);
    const close = () => {
      reader.close();
    };
    const stream = streamOf({ chunks, close }, signal);
    if (!reader.head.gzip || options.asStored === true) return stream;
    const unpacked = createGunzip().on("error", () => undefined);
    return pipe(stream, unpacked, () => undefined);
  }

  async download(path: ObjectPath, file: string, signal: AbortSignal, options: ReadOptions = {}): Promise<void> {
    const handle = await open(file, "wx");
    let gzip: boolean;
    try {
      ({ gzip } = await download(this.#client, path, signal, options, () => into(handle)));
    } finally {
      await handle.close();
    }
    if (!gzip) return;
    const packed = `${file}.gz`;
    await rename(file, packed);
    await pipeline(createReadStream(packed), createGunzip(), createWriteStream(file, { flags: "wx" }), { signal });
    await rm(packed);
  }

  async write(path: ObjectPath, data: UploadSource, options: WriteOptions, signal: AbortSignal): Promise<Written> {
    const { resource, crc32c } = await upload(this.#client, path, data, options, signal);
    const state = stateOf(resource, `writing ${uriOf(path)}`);
    if (state.crc32c !== undefined && state.crc32c !== crc32c) await this.#checkAgain(path, state, crc32c, signal);
    return { generation: state.generation, size: Number(resource["size"]) };
  }

  /** The object is said to have other bytes than were sent: then it must not stay. */
  async #checkAgain(path: ObjectPath, { generation }: ObjectState, crc32c: string, signal: AbortSignal): Promise<void> {
    const now = await this.stat(path, signal);
    if (now?.generation === generation && now.crc32c === crc32c) return;
    const what = `taking back ${uriOf(path)}`;
    // This generation alone: somebody may have written another one since.
    const url = this.#client.objectUrl(path, { ifGenerationMatch: generation });
    await this.#client.askAgain({ what, method: "DELETE", url }, signal).catch((error: unknown) => {
      const gone = error instanceof StorageError && (error.status === 404 || error.status === 412);
      if (!gone) throw error;
    });
    const message = `writing ${uriOf(path)}: the stored bytes did not match their checksum, and were deleted`;
    throw new StorageError(message, { code: "STORAGE_CHECKSUM" });
  }
}

/** Throws at the end when the bytes were not the object's. */
async function* verified(reader: GcsReader, signal: AbortSignal): AsyncGenerator<Buffer> {
  const crc = new Crc32c();
  for await (const chunk of reader.bytes(0, reader.head.size, signal)) {
    crc.update(chunk);
    yield chunk;
  }
  const { crc32c } = reader.head;
  if (crc32c !== undefined && crc32cText(crc.value) !== crc32c) throw reader.checksumError();
}

/** Empties the file: what comes anew may be another generation, and a shorter one. */
async function into(file: FileHandle): Promise<Target> {
  await file.truncate();
  return async (chunk, at) => {
    for (let done = 0; done < chunk.length;) {
      done += (await file.write(chunk, done, chunk.length - done, at + done)).bytesWritten;
    }
  };
}

function stateOf(resource: Readonly<Record<string, unknown>>, what: string): ObjectState {
  const { generation, size, crc32c, metadata } = resource;
  if (typeof generation !== "string") {
    throw new StorageError(`${what}: the answer has no generation`, { code: "STORAGE_PROTOCOL" });
  }
  const by = (metadata as Readonly<Record<string, unknown>> | undefined)?.[byKey];
  return {
    generation,
    by: typeof by === "string" && by !== "" ? by.split(",") : [],
    size: Number(size),
    ...(typeof crc32c === "string" ? { crc32c } : {}),
  };
}
