import { type ApiError, badRequest, beingChanged, notFound } from "../errors.js";
import { checkPreconditions, type Preconditions } from "../preconditions.js";
import { checkObjectName } from "./names.js";
import type { ObjectRecord, ObjectSettings } from "./record.js";
import { Sessions } from "./sessions.js";
import type { Staged, StagedFile } from "./staging.js";
import { type ObjectStore, stateOf } from "./store.js";
import { Turns } from "./turns.js";

/** What the client says the bytes are, base64; a wrong one is refused and leaves nothing. */
export interface Expected {
  readonly md5Hash?: string | undefined;
  readonly crc32c?: string | undefined;
}

export interface Upload {
  readonly bucket: string;
  readonly name: string;
  readonly settings: ObjectSettings;
  readonly expected: Expected;
  readonly conditions: Preconditions;
  /** Bytes, where the client announced them. */
  readonly size?: number;
}

export type Progress =
  { readonly state: "more"; readonly received: number } | { readonly state: "done"; readonly record: ObjectRecord };

interface Session {
  readonly id: string;
  readonly upload: Upload;
  readonly file: StagedFile;
}

/** How many resumable uploads may be open. */
const maxSessions = 10_000;
/** And of how many that are done the object is given again to a client that lost the answer. */
const maxDone = 1_000;

/** Takes bytes in, whole or in pieces, and makes objects of them. */
export class Uploads {
  readonly #sessions = new Sessions<Session>(maxSessions, ({ file }) => {
    file.discard();
  });
  readonly #done = new Map<string, ObjectRecord>();
  readonly #turns = new Turns();

  constructor(readonly store: ObjectStore) {}

  async whole(upload: Upload, body: AsyncIterable<Uint8Array>): Promise<ObjectRecord> {
    const file = this.store.stage();
    try {
      await file.append(body);
      return await this.#commit(upload, file.finish());
    } catch (error) {
      file.discard();
      throw error;
    }
  }

  /** Opens a resumable upload and returns its id. */
  async begin(upload: Upload): Promise<string> {
    checkObjectName(upload.name);
    checkPreconditions(upload.conditions, stateOf(await this.store.get(upload.bucket, upload.name)));
    const session = { id: "", upload, file: this.store.stage() };
    session.id = this.#sessions.add(session);
    return session.id;
  }

  /**
   * One PUT of a resumable upload. `range` is its Content-Range header: `bytes FIRST-LAST|*` `/` `TOTAL|*`. A client that
   * tries again may do so while its first request still runs: one after the other.
   */
  put(id: string, range: string | undefined, expected: Expected, body: AsyncIterable<Uint8Array>): Promise<Progress> {
    return this.#turns.take(id, async () => {
      const record = this.#done.get(id);
      if (record !== undefined) return { state: "done", record };
      const session = this.#sessions.get(id);
      if (session === undefined) throw notFound(`no such upload: ${id}`);
      return this.#put(session, parseRange(range), expected, body);
    });
  }

  async #put(session: Session, range: Range, expected: Expected, body: AsyncIterable<Uint8Array>): Promise<Progress> {
    const { file, upload } = session;
    const { first, last, total } = range;
    if (total !== undefined && upload.size !== undefined && total !== upload.size) {
      throw badRequest(`${upload.size} bytes were announced at first, now ${total}`);
    }
    if (first !== undefined) {
      if (first > file.size) throw gap(first, file.size);
      await this.#append(session, within(body, last, first), file.size - first);
    }
    const size = total ?? (range.whole ? file.size : undefined);
    const isQuery = first === undefined;
    if (size === undefined || file.size < size || (isQuery && file.size > size)) {
      return { state: "more", received: file.size };
    }
    try {
      if (file.size > size) throw badRequest(`${file.size} bytes were sent, ${size} announced`);
      const record = await this.#commit({ ...upload, expected: both(upload.expected, expected) }, file.finish());
      this.#done.set(session.id, record);
      const oldest = this.#done.keys().next();
      if (this.#done.size > maxDone && oldest.done !== true) this.#done.delete(oldest.value);
      return { state: "done", record };
    } finally {
      this.#sessions.remove(session.id);
    }
  }

  /** A break of the connection leaves what came; where the disk fails, nobody knows what is there, and the upload ends. */
  async #append({ id, file }: Session, body: AsyncIterable<Uint8Array>, skip: number): Promise<void> {
    try {
      await file.append(body, skip);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).syscall?.startsWith("write") === true) this.#sessions.remove(id);
      throw error;
    }
  }

  /** Ends a resumable upload that is not done. Throws 404. */
  async cancel(id: string): Promise<void> {
    await this.#turns.take(id, () => {
      if (this.#sessions.get(id) === undefined) throw notFound(`no such upload: ${id}`);
      this.#sessions.remove(id);
    });
  }

  async #commit(upload: Upload, staged: Staged): Promise<ObjectRecord> {
    for (const kind of ["md5Hash", "crc32c"] as const) {
      const wanted = upload.expected[kind];
      if (wanted === undefined || wanted === staged[kind]) continue;
      const what = kind === "crc32c" ? "CRC32C" : "MD5 hash";
      throw badRequest(`Provided ${what} "${wanted}" doesn't match calculated ${what} "${staged[kind]}".`);
    }
    const { bucket, name, settings, conditions } = upload;
    return this.store.commit(bucket, name, { staged, settings }, conditions);
  }
}

/** The service's words; a client asks what is there and goes on from it. */
function gap(offset: number, size: number): ApiError {
  return beingChanged(
    `Invalid request.  According to the Content-Range header, the upload offset is ${offset} byte(s), which exceeds already uploaded size of ${size} byte(s).`,
  );
}

function both(first: Expected, last: Expected): Expected {
  return { md5Hash: last.md5Hash ?? first.md5Hash, crc32c: last.crc32c ?? first.crc32c };
}

/** A body that has to have the length its range says, or to end before: what is beyond is refused. */
async function* within(body: AsyncIterable<Uint8Array>, last: number | undefined, first: number) {
  let room = last === undefined ? Infinity : last - first + 1;
  for await (const chunk of body) {
    room -= chunk.length;
    if (room < 0) throw badRequest("the body is longer than its Content-Range says");
    yield chunk;
  }
}

interface Range {
  /** Undefined when the request only asks how far the upload is. */
  readonly first?: number | undefined;
  readonly last?: number | undefined;
  readonly total?: number | undefined;
  /** The body goes to the end of the object, whose size is not announced. */
  readonly whole: boolean;
}

function parseRange(header: string | undefined): Range {
  if (header === undefined) return { first: 0, whole: true };
  // The Node client writes 0--1 of an empty object.
  const match = /^bytes (?:(\d{1,15})-(-?\d{1,15}|\*)|\*)\/(\d{1,15}|\*)$/.exec(header);
  if (match === null) throw badRequest(`not a Content-Range: ${header}`);
  const number = (text: string | undefined) => (text === undefined || text === "*" ? undefined : Number(text));
  const [, first, last, total] = match;
  const range = { first: number(first), last: number(last), total: number(total), whole: last === "*" };
  if (range.last !== undefined && range.first !== undefined) {
    const beyond = range.total !== undefined && range.last >= range.total;
    if (range.last < range.first - 1 || beyond) throw badRequest(`not a Content-Range: ${header}`);
  }
  return range;
}
