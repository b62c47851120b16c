import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { appendFile, rm, writeFile } from "node:fs/promises";
import { badRequest, notFound } from "./errors.js";
import type { Preconditions } from "./preconditions.js";
import type { ObjectRecord, ObjectSettings } from "./record.js";
import type { FileStore, Staged } from "./store.js";

/** What the client says the bytes are; a wrong one is refused and leaves nothing. */
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
}

export type Progress =
  { readonly state: "more"; readonly received: number } | { readonly state: "done"; readonly record: ObjectRecord };

interface Session {
  readonly upload: Upload;
  readonly path: string;
  received: number;
  record?: ObjectRecord;
  turn: Promise<unknown>;
}

/** How many resumable uploads may be open; the oldest is dropped first. */
const maxSessions = 10_000;

/** Takes bytes in, whole or in pieces, and makes objects of them. */
export class Uploads {
  readonly #sessions = new Map<string, Session>();

  constructor(readonly store: FileStore) {}

  async whole(upload: Upload, body: AsyncIterable<Uint8Array>): Promise<ObjectRecord> {
    const staged = await this.store.stage(body);
    return this.#commit(upload, staged);
  }

  /** Opens a resumable upload and returns its id. */
  async begin(upload: Upload): Promise<string> {
    const id = randomUUID();
    const session = { upload, path: this.store.stagingPath(), received: 0, turn: Promise.resolve() };
    await writeFile(session.path, "");
    this.#sessions.set(id, session);
    const oldest = this.#sessions.keys().next();
    if (this.#sessions.size > maxSessions && oldest.done !== true) await this.cancel(oldest.value);
    return id;
  }

  /** One PUT of a resumable upload. `range` is its Content-Range header: `bytes FIRST-LAST|*` `/` `TOTAL|*`. */
  async put(id: string, range: string | undefined, body: AsyncIterable<Uint8Array>): Promise<Progress> {
    const session = this.#sessions.get(id);
    if (session === undefined) throw notFound(`no such upload: ${id}`);
    // A client that tries again may do so while its first request still runs: one after the other.
    const turn = session.turn.then(() => this.#put(id, session, range, body));
    session.turn = turn.catch(() => undefined);
    return turn;
  }

  async #put(
    id: string,
    session: Session,
    range: string | undefined,
    body: AsyncIterable<Uint8Array>,
  ): Promise<Progress> {
    if (session.record !== undefined) return { state: "done", record: session.record };
    const { first, total, last } = parseRange(range);
    if (first !== undefined) {
      if (first > session.received) throw badRequest(`bytes ${session.received} to ${first} are missing`);
      await this.#append(session, body, session.received - first);
    }
    const whole = total ?? (range === undefined || last === "*" ? session.received : undefined);
    if (whole === undefined || session.received < whole) return { state: "more", received: session.received };
    if (session.received > whole) throw badRequest(`${session.received} bytes were sent, ${whole} announced`);
    const staged = await this.store.stage(createReadStream(session.path) as AsyncIterable<Buffer>);
    await rm(session.path, { force: true });
    session.record = await this.#commit(session.upload, staged).catch((error: unknown) => {
      this.#sessions.delete(id);
      throw error;
    });
    return { state: "done", record: session.record };
  }

  async cancel(id: string): Promise<void> {
    const session = this.#sessions.get(id);
    if (session === undefined) throw notFound(`no such upload: ${id}`);
    this.#sessions.delete(id);
    await rm(session.path, { force: true });
  }

  async #append(session: Session, body: AsyncIterable<Uint8Array>, skip: number): Promise<void> {
    let toSkip = skip;
    for await (const chunk of body) {
      const fresh = chunk.subarray(Math.min(toSkip, chunk.length));
      toSkip -= chunk.length - fresh.length;
      if (fresh.length === 0) continue;
      await appendFile(session.path, fresh);
      session.received += fresh.length;
    }
  }

  async #commit(upload: Upload, staged: Staged): Promise<ObjectRecord> {
    const wrong = (["md5Hash", "crc32c"] as const).find(
      (key) => upload.expected[key] !== undefined && upload.expected[key] !== staged[key],
    );
    if (wrong !== undefined) {
      await rm(staged.path, { force: true });
      throw badRequest(
        `Provided ${wrong} "${upload.expected[wrong]}" does not match the data, which has "${staged[wrong]}"`,
      );
    }
    return this.store.commit(upload.bucket, upload.name, staged, upload.settings, upload.conditions);
  }
}

interface Range {
  readonly first: number | undefined;
  readonly last: number | "*" | undefined;
  readonly total: number | undefined;
}

function parseRange(header: string | undefined): Range {
  if (header === undefined) return { first: 0, last: "*", total: undefined };
  const match = /^bytes (?:(\d+)-(\d+|\*)|\*)\/(\d+|\*)$/.exec(header);
  if (match === null) throw badRequest(`not a Content-Range: ${header}`);
  const [, first, last, total] = match;
  return {
    first: first === undefined ? undefined : Number(first),
    last: last === "*" ? "*" : last === undefined ? undefined : Number(last),
    total: total === undefined || total === "*" ? undefined : Number(total),
  };
}
