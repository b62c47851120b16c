import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline as pipe, type Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { DataInput } from "@klio/config/effective";
import type { UploadOptions, UploadSource } from "../api/context.js";
import type { Item } from "../api/item.js";
import { PermanentError } from "../api/errors.js";
import type { UploadedObject } from "../api/uploaded-object.js";
import { objectPath } from "../objects/location.js";
import { type ObjectPath, uriOf } from "../objects/store.js";
import { type Finding, judge, OvertakenError, type Request, uploadOnce } from "../objects/upload-rule.js";
import type { Cancellation } from "./cancellation.js";
import type { Engine } from "./engine.js";

/** One call of a transform's `process`; `attempt` counts its own tries. */
export interface UserCall {
  readonly id: number;
  readonly attempt: number;
}

/** Who uploads: a call, until its signal aborts. */
export interface Uploader {
  readonly call: UserCall;
  readonly signal: AbortSignal;
}

/** One attempt's objects: what it reads, what it writes, and the temporary files in between. */
export class ItemObjects {
  readonly uploaded: UploadedObject[] = [];
  /** Bytes of input objects that arrived. */
  bytesRead = 0;
  /** Set once an upload was overtaken: the attempt is void then, even if user code swallowed the error. */
  overtaken: OvertakenError | undefined;
  readonly #findings = new Map<string, Finding>();
  readonly #claims = new Map<string, UserCall>();
  readonly #pending: Promise<UploadedObject>[] = [];
  readonly #streams: Readable[] = [];
  #folder: Promise<string> | undefined;
  #files = 0;

  constructor(
    readonly engine: Engine,
    readonly request: Request,
    readonly cancellation: Cancellation,
  ) {}

  /** Notes what the attempt found when it first looked at an output. */
  remember(path: ObjectPath, finding: Finding): void {
    this.#findings.set(uriOf(path), finding);
  }

  async read(item: Item<unknown>): Promise<Uint8Array> {
    const bytes = await this.engine.store.read(this.#inputPath(item), this.cancellation.signal);
    this.bytesRead += bytes.length;
    return bytes;
  }

  async open(item: Item<unknown>): Promise<Readable> {
    return this.#open(this.#inputPath(item));
  }

  async #open(path: ObjectPath): Promise<Readable> {
    const source = await this.engine.store.open(path, this.cancellation.signal);
    const stream = new Transform({
      transform: (chunk: Uint8Array, _encoding, next) => {
        this.bytesRead += chunk.length;
        next(null, chunk);
      },
    });
    // Whoever reads it is told of what goes wrong; nobody reading is no reason to end the worker.
    pipe(source, stream, () => undefined);
    this.#streams.push(stream);
    return stream;
  }

  async file(item: Item<unknown>): Promise<string> {
    const path = this.#inputPath(item);
    const source = await this.#open(path);
    const folder = await this.folder();
    this.#files += 1;
    const extension = /\.[A-Za-z0-9]{1,16}$/.exec(basename(path.name))?.[0] ?? "";
    const target = join(folder, `${this.#files}${extension}`);
    await pipeline(source, createWriteStream(target), { signal: this.cancellation.signal });
    return target;
  }

  /** A folder of the message's own, removed with everything in it. */
  folder(): Promise<string> {
    this.#folder ??= this.engine.temporaryFolder();
    return this.#folder;
  }

  /** `call` is the call of user code that uploads: two of them must not write the same object. */
  upload(item: Item<unknown>, data: UploadSource, options: UploadOptions, by: Uploader): Promise<UploadedObject> {
    const upload = this.#upload(item, data, options, by);
    // Awaited by settle() even if user code forgets to.
    this.#pending.push(upload);
    upload.catch(() => undefined);
    return upload;
  }

  async #upload(
    item: Item<unknown>,
    data: UploadSource,
    options: UploadOptions,
    { call, signal }: Uploader,
  ): Promise<UploadedObject> {
    const [output] = this.engine.config.job_config.data.outputs;
    if (output === undefined) {
      throw new Error("the job has no data output: add one to job_config.data.outputs in klio-job.yaml");
    }
    signal.throwIfAborted(); // a call whose time is up writes nothing any more
    const path = objectPath(output.location, item.element, options.suffix ?? output.file_suffix);
    this.#claim(path, call);
    const finding = this.#findings.get(uriOf(path)) ?? judge(await this.engine.store.stat(path), this.request);
    this.remember(path, finding);
    const contentType = options.contentType ?? "application/octet-stream";
    const how = { finding, request: this.request, contentType };
    try {
      const result = await uploadOnce(this.engine.store, path, data, how, signal);
      this.uploaded.push(result);
      return result;
    } catch (error) {
      if (error instanceof OvertakenError) this.overtaken = error;
      throw error;
    }
  }

  /** One object, one writer: a second one would be taken for a repetition of the first, and lost. */
  #claim(path: ObjectPath, call: UserCall): void {
    const uri = uriOf(path);
    const other = this.#claims.get(uri);
    if (other !== undefined && (other.id !== call.id || other.attempt === call.attempt)) {
      throw new PermanentError(`${uri} is written twice for one message: give each upload a suffix of its own`, {
        code: "DUPLICATE_OUTPUT",
      });
    }
    this.#claims.set(uri, { ...call });
  }

  /** Waits for uploads that user code did not wait for. Throws the first that failed. */
  async settle(): Promise<void> {
    await Promise.all(this.#pending);
  }

  async cleanUp(): Promise<void> {
    await Promise.allSettled(this.#pending);
    for (const stream of this.#streams) stream.destroy();
    const folder = await this.#folder?.catch(() => undefined);
    if (folder !== undefined) await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }

  #inputPath(item: Item<unknown>): ObjectPath {
    const input: DataInput | undefined = this.engine.config.job_config.data.inputs[0];
    if (input === undefined) {
      throw new Error("the job has no data input: add one to job_config.data.inputs in klio-job.yaml");
    }
    return objectPath(input.location, item.element, input.file_suffix);
  }
}
