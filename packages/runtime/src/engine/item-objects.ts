import { setMaxListeners } from "node:events";
import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Readable } from "node:stream";
import type { DataInput } from "@klio/config/effective";
import type { UploadOptions, UploadSource } from "../api/context.js";
import type { Item } from "../api/item.js";
import { PermanentError } from "../api/errors.js";
import type { UploadedObject } from "../api/uploaded-object.js";
import { objectPath } from "../objects/location.js";
import { hearErrors, leave } from "../objects/source.js";
import { isStorageTrouble } from "../objects/storage-error.js";
import { type ObjectPath, type ObjectState, type ReadOptions, uriOf } from "../objects/store.js";
import { type Finding, judge, OvertakenError, type Request, uploadOnce } from "../objects/upload-rule.js";
import type { Cancellation } from "./cancellation.js";
import type { Engine } from "./engine.js";
import { ObservedPromise } from "./observed-promise.js";
import { Running } from "./running.js";
import type { UserCall } from "./user-call.js";

/** Who uploads: a call, until its signal aborts. */
export interface Uploader {
  readonly call: UserCall;
  readonly signal: AbortSignal;
}

/** Whose an object is: one try's of one call. */
interface Claim {
  readonly call: UserCall;
  readonly attempt: number;
  /** Why it is not known whether the object was written. */
  unclear?: Error;
}

interface Upload {
  readonly call: UserCall;
  readonly attempt: number;
  readonly promise: ObservedPromise<UploadedObject>;
}

/** One attempt's objects: what it reads, what it writes, and the temporary files in between. */
export class ItemObjects {
  readonly uploaded: UploadedObject[] = [];
  /** Bytes of input objects that arrived, as stored; those that had to be fetched again count again. */
  bytesRead = 0;
  /** Set once an upload was overtaken: the attempt is void then, even if user code swallowed the error. */
  overtaken: OvertakenError | undefined;
  /** Whether there is something to settle or to clean up. */
  used = false;
  // Made when they are first written to: three empty maps are a good part of what a small message costs.
  #findings: Map<string, Finding> | undefined;
  #inputs: Map<string, ObjectState> | undefined;
  #claims: Map<string, Claim> | undefined;
  #running: Running | undefined;
  readonly #uploads: Upload[] = [];
  readonly #streams: Readable[] = [];
  #ended: AbortController | undefined;
  #signal: AbortSignal | undefined;
  #folder: Promise<string> | undefined;
  #files = 0;

  constructor(
    readonly engine: Engine,
    readonly request: Request,
    readonly cancellation: Cancellation,
  ) {}

  /** Notes what the attempt found when it first looked at an output. */
  remember(path: ObjectPath, finding: Finding): void {
    this.#findings ??= new Map();
    this.#findings.set(uriOf(path), finding);
  }

  /** Notes what the attempt found when it looked for its input: what is read then is this very generation. */
  rememberInput(path: ObjectPath, state: ObjectState): void {
    this.#inputs ??= new Map();
    this.#inputs.set(uriOf(path), state);
  }

  /** Aborts when the attempt is called off, and when it is over. Made when it is asked for, as the attempt's is. */
  get signal(): AbortSignal {
    if (this.#signal === undefined) {
      this.used = true;
      this.#ended = new AbortController();
      this.#signal = AbortSignal.any([this.cancellation.signal, this.#ended.signal]);
      setMaxListeners(0, this.#signal); // one for each object in hand
    }
    return this.#signal;
  }

  // `ofCall` aborts when the time of the call of user code that reads is up.

  read(item: Item<unknown>, ofCall?: AbortSignal): Promise<Uint8Array> {
    return this.#reading(item, ofCall, (path, signal, options) => this.engine.store.read(path, signal, options));
  }

  open(item: Item<unknown>, ofCall?: AbortSignal): Promise<Readable> {
    return this.#reading(item, ofCall, async (path, signal, options) => {
      const stream = await this.engine.store.open(path, signal, options);
      this.#streams.push(stream);
      return stream;
    });
  }

  file(item: Item<unknown>, ofCall?: AbortSignal): Promise<string> {
    return this.#reading(item, ofCall, async (path, signal, options) => {
      const folder = await this.folder();
      this.#files += 1;
      const extension = /\.[A-Za-z0-9]{1,16}$/.exec(basename(path.name))?.[0] ?? "";
      const target = join(folder, `${this.#files}${extension}`);
      try {
        await this.engine.store.download(path, target, signal, options);
      } catch (error) {
        await rm(target, { force: true });
        throw error;
      }
      return target;
    });
  }

  #reading<T>(
    item: Item<unknown>,
    ofCall: AbortSignal | undefined,
    read: (path: ObjectPath, signal: AbortSignal, options: ReadOptions) => Promise<T>,
  ): Promise<T> {
    const work = async () => {
      const signal = ofCall === undefined ? this.signal : AbortSignal.any([this.signal, ofCall]);
      signal.throwIfAborted();
      const path = this.#inputPath(item);
      return read(path, signal, {
        known: this.#inputs?.get(uriOf(path)),
        arrived: (bytes) => {
          this.bytesRead += bytes;
        },
      });
    };
    const reading = work();
    this.awaitEnd(reading);
    return reading;
  }

  /** Has cleanUp() await work that user code may have forgotten to. */
  awaitEnd(work: Promise<unknown>): void {
    this.used = true;
    this.#running ??= new Running();
    this.#running.add(work);
  }

  /** A folder of the message's own, removed with everything in it. `signal` aborts no later than this one's. */
  folder(signal: AbortSignal = this.signal): Promise<string> {
    const work = async () => {
      signal.throwIfAborted(); // nobody would remove it any more
      return (this.#folder ??= this.engine.temporaryFolder());
    };
    const making = work();
    this.awaitEnd(making);
    return making;
  }

  /** `call` is the call of user code that uploads: two of them must not write the same object. */
  upload(item: Item<unknown>, data: UploadSource, options: UploadOptions, by: Uploader): Promise<UploadedObject> {
    hearErrors(data);
    const { call } = by;
    const work = this.#upload(item, data, options, by).catch((error: unknown) => {
      leave(data); // it may have failed before anybody read
      throw error;
    });
    this.awaitEnd(work);
    call.addUpload(work);
    const promise = ObservedPromise.of(work);
    this.#uploads.push({ promise, call, attempt: call.attempt });
    return promise;
  }

  async #upload(
    item: Item<unknown>,
    data: UploadSource,
    options: UploadOptions,
    { call, signal: ofCall }: Uploader,
  ): Promise<UploadedObject> {
    const { uploadSignal: ofTry } = call;
    const signal = AbortSignal.any([this.signal, ofCall, ...(ofTry === undefined ? [] : [ofTry])]);
    const [output] = this.engine.config.job_config.data.outputs;
    if (output === undefined) {
      throw new Error("the job has no data output: add one to job_config.data.outputs in klio-job.yaml");
    }
    signal.throwIfAborted(); // a call whose time is up writes nothing any more
    const path = objectPath(output.location, item.element, options.suffix ?? output.file_suffix);
    const uri = uriOf(path);
    const claim = this.#claim(uri, call);
    try {
      const finding = this.#findings?.get(uri) ?? judge(await this.engine.store.stat(path, signal), this.request);
      this.remember(path, finding);
      const contentType = options.contentType ?? "application/octet-stream";
      const how = { finding, request: this.request, contentType };
      const result = await uploadOnce(this.engine.store, path, data, how, signal);
      this.uploaded.push(result);
      this.#inputs?.delete(uri); // whoever reads it from here on means this one
      return result;
    } catch (error) {
      if (error instanceof OvertakenError) this.overtaken = error;
      // The service may have written it without our hearing of it: another's bytes would be taken for a repetition of these.
      if (isStorageTrouble(error) || signal.aborted) claim.unclear = error as Error;
      else if (this.#claims?.get(uri) === claim) this.#claims.delete(uri);
      throw error;
    }
  }

  /** One object, one writer: a second one would be taken for a repetition of the first, and lost. */
  #claim(uri: string, call: UserCall): Claim {
    const claims = (this.#claims ??= new Map<string, Claim>());
    const other = claims.get(uri);
    if (other !== undefined && (other.call !== call || other.attempt === call.attempt)) {
      if (other.unclear !== undefined) throw other.unclear;
      throw new PermanentError(`${uri} is written twice for one message: give each upload a suffix of its own`, {
        code: "DUPLICATE_OUTPUT",
      });
    }
    const claim: Claim = { call, attempt: call.attempt };
    claims.set(uri, claim);
    return claim;
  }

  /** Waits for uploads that user code did not wait for. Throws the first error that nobody took, but none of a try that was made again. */
  async settle(): Promise<void> {
    const uploads = this.#uploads.filter(({ call, attempt }) => attempt === call.attempt);
    await Promise.all(uploads.map(({ promise }) => promise.settle()));
  }

  /** Ends what user code has left running, and removes the temporary files. */
  async cleanUp(): Promise<void> {
    this.#ended?.abort(new Error("the attempt is over"));
    await this.#running?.ended();
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
