import { badRequest } from "../errors.js";
import type { Preconditions } from "../preconditions.js";
import type { ObjectRecord, ObjectSettings } from "../store/record.js";
import { Sessions } from "../store/sessions.js";
import { Turns } from "../store/turns.js";
import type { StagedFile } from "../store/staging.js";
import type { ObjectStore, OpenObject } from "../store/store.js";

/** Where a copy goes. */
export interface Target {
  readonly bucket: string;
  readonly name: string;
  readonly settings: ObjectSettings;
  readonly conditions: Preconditions;
}

export type Rewritten =
  | { readonly done: true; readonly source: ObjectRecord; readonly record: ObjectRecord }
  | { readonly done: false; readonly source: ObjectRecord; readonly bytes: number; readonly token: string };

interface Session {
  readonly file: StagedFile;
  /** What the calls with one token have in common. */
  readonly same: string;
}

const maxSessions = 1_000;

/** Copies of objects, at once or in several calls. */
export class Rewrites {
  readonly #turns = new Turns();
  readonly #sessions = new Sessions<Session>(maxSessions, ({ file }) => {
    file.discard();
  });

  constructor(readonly store: ObjectStore) {}

  /** Copies an open object, and closes it. */
  async copy({ record: source, file }: OpenObject, target: Target): Promise<ObjectRecord> {
    const copied = this.store.stage();
    try {
      await copied.append(file.bytes(0, source.size));
      return await this.#finish(copied, source, target);
    } catch (error) {
      copied.discard();
      throw error;
    } finally {
      file.close();
    }
  }

  /** Copies up to `max` bytes of an open object, and closes it. The token of an answer goes on with the next bytes. */
  some(source: OpenObject, target: Target, max: number, token: string | null): Promise<Rewritten> {
    // A client that tries again may do so while its first call still runs: one after the other.
    return token === null
      ? this.#some(source, target, max, token)
      : this.#turns.take(token, () => this.#some(source, target, max, token));
  }

  async #some(
    { record: source, file }: OpenObject,
    target: Target,
    max: number,
    token: string | null,
  ): Promise<Rewritten> {
    try {
      const same = [source.bucket, source.name, source.generation, target.bucket, target.name, max].join("\n");
      const session = token === null ? { file: this.store.stage(), same } : this.#sessions.get(token);
      if (session === undefined) throw badRequest("no such rewriteToken");
      if (session.same !== same) throw badRequest("the rewriteToken is not one of this rewrite");
      const id = token ?? this.#sessions.add(session);
      try {
        const at = session.file.size;
        await session.file.append(file.bytes(at, Math.min(source.size, at + max)));
        if (session.file.size < source.size) return { done: false, source, bytes: session.file.size, token: id };
        const record = await this.#finish(session.file, source, target);
        this.#sessions.remove(id);
        return { done: true, source, record };
      } catch (error) {
        this.#sessions.remove(id); // where the disk failed, nobody knows what is there
        throw error;
      }
    } finally {
      file.close();
    }
  }

  async #finish(file: StagedFile, source: ObjectRecord, { bucket, name, settings, conditions }: Target) {
    const { componentCount } = source;
    const object = {
      staged: file.finish(),
      settings,
      ...(componentCount === undefined ? {} : { componentCount }),
    };
    return this.store.commit(bucket, name, object, conditions);
  }
}
