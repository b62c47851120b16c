import { renameSync, unlinkSync } from "node:fs";
import { mkdir, realpath, rm } from "node:fs/promises";
import { join } from "node:path";
import { lockDirectory, type DirectoryLock } from "../../directory-lock.js";
import { badRequest, beingChanged, conflict, noObject } from "../errors.js";
import { eventOf, type StorageEvent } from "../observe.js";
import { checkPreconditions, type Preconditions } from "../preconditions.js";
import { Adoption } from "./adoption.js";
import { bucketEtag, type BucketRecord, Buckets, type BucketSettings } from "./buckets.js";
import { findFile, type Found, keyOf, lstatOrNot, place, pruneFolders, walk } from "./files.js";
import { Generations } from "./generations.js";
import { JsonFiles, unlinkIfThere } from "./json-files.js";
import { checkObjectName } from "./names.js";
import { OpenFile } from "./open-file.js";
import { hiddenFolder } from "./paths.js";
import { RecordFiles } from "./record-files.js";
import { etagOf, type ObjectRecord, type ObjectSettings } from "./record.js";
import { type Staged, StagedFile } from "./staging.js";
import { Turns } from "./turns.js";
import { Versions } from "./versions.js";

export interface OpenObject {
  readonly record: ObjectRecord;
  readonly file: OpenFile;
}

/** An object to be, but for its name and generation. */
export interface NewObject {
  readonly staged: Staged;
  readonly settings: ObjectSettings;
  /** Of a composed object. */
  readonly componentCount?: number;
}

/** How often a file that changes while it is measured is measured again. */
const maxTries = 5;

/**
 * Buckets and objects as plain files: `<root>/<bucket>/<object>`, with all else below `<root>/.klio`.
 *
 * A record belongs to a file by inode, time and size. It is written before the file is renamed into place, so the rename is
 * the one moment at which bytes and record change together; a file changed by hand no longer matches and gets a new record.
 */
export class ObjectStore {
  readonly buckets: Buckets;
  readonly versions: Versions;
  readonly staging: string;
  readonly #records: RecordFiles;
  readonly #generations: Generations;
  readonly #turns = new Turns();
  readonly #adopting: Adoption;

  private constructor(
    readonly root: string,
    readonly lock: DirectoryLock,
    readonly observe: (event: StorageEvent) => void,
  ) {
    const hidden = join(root, hiddenFolder);
    this.staging = join(hidden, "staging");
    const files = new JsonFiles(this.staging);
    this.buckets = new Buckets(root, join(hidden, "buckets"), files);
    this.versions = new Versions(join(hidden, "versions"), files);
    this.#records = new RecordFiles(join(hidden, "records"), files);
    this.#generations = new Generations(hidden);
    this.#adopting = new Adoption(this.#records, this.#generations);
  }

  /**
   * Opens a store, making its folder and sweeping what a killed process left unfinished. Throws DirectoryInUseError when
   * another emulator runs on it.
   */
  static async open(root: string, observe: (event: StorageEvent) => void = () => undefined): Promise<ObjectStore> {
    await mkdir(root, { recursive: true });
    const real = await realpath(root);
    const store = new ObjectStore(real, lockDirectory(join(real, hiddenFolder)), observe);
    try {
      await store.#sweep();
    } catch (error) {
      store.close();
      throw error;
    }
    return store;
  }

  close(): void {
    this.lock.release();
  }

  // ---- buckets

  createBucket(name: string, settings: BucketSettings): Promise<BucketRecord> {
    return this.#turns.take(name, async () => {
      const record = this.buckets.create(name, settings);
      // Of one by this name that was removed by hand.
      await this.#forget(name);
      return record;
    });
  }

  /** Changes a bucket's settings if the preconditions hold. */
  changeBucket(
    name: string,
    conditions: Preconditions,
    change: (settings: BucketSettings) => BucketSettings,
  ): Promise<BucketRecord> {
    return this.#turns.take(name, () => {
      const current = this.buckets.get(name);
      checkPreconditions(conditions, { ...current, etag: bucketEtag(current) });
      const record: BucketRecord = {
        ...current,
        metageneration: (BigInt(current.metageneration) + 1n).toString(),
        updated: new Date().toISOString(),
        settings: change(current.settings),
      };
      this.buckets.write(record);
      return record;
    });
  }

  deleteBucket(name: string, conditions: Preconditions): Promise<void> {
    return this.#turns.take(name, async () => {
      const current = this.buckets.get(name);
      checkPreconditions(conditions, { ...current, etag: bucketEtag(current) });
      const notEmpty = () => conflict("The bucket you tried to delete is not empty.");
      for await (const version of this.versions.list(name)) if (version.softDeleteTime === undefined) throw notEmpty();
      if (!this.buckets.remove(name)) throw notEmpty();
      await this.#forget(name);
    });
  }

  /** Removes what is known of a bucket's objects. */
  async #forget(bucket: string): Promise<void> {
    await this.versions.removeBucket(bucket);
    await this.#records.forgetBucket(bucket);
  }

  // ---- objects

  /** The live object's record, or undefined when there is none. Throws 404 when the bucket does not exist. */
  async get(bucket: string, name: string): Promise<ObjectRecord | undefined> {
    this.buckets.check(bucket);
    return (await this.#current(bucket, name))?.record;
  }

  /** The live object or, of a generation, whichever version. Throws 404. */
  async existing(bucket: string, name: string, generation: string | null): Promise<ObjectRecord> {
    const live = await this.get(bucket, name);
    if (live !== undefined && (generation === null || generation === live.generation)) return live;
    const version = generation === null ? undefined : this.versions.get(bucket, name, generation);
    if (version === undefined || version.softDeleteTime !== undefined) throw noObject(bucket, name);
    return version;
  }

  /**
   * An object's bytes and the record that belongs to them, however it is replaced meanwhile. The caller closes the file.
   * Throws 404.
   */
  async open(bucket: string, name: string, generation: string | null): Promise<OpenObject> {
    this.buckets.check(bucket);
    const live = await this.#openLive(bucket, name);
    if (live !== undefined && (generation === null || generation === live.record.generation)) return live;
    live?.file.close();
    const record = await this.existing(bucket, name, generation ?? "0");
    return { record, file: this.versions.open(record) };
  }

  async #openLive(bucket: string, name: string): Promise<OpenObject | undefined> {
    for (let tries = 0; tries < maxTries; tries += 1) {
      const current = await this.#current(bucket, name);
      if (current === undefined) return undefined;
      const file = OpenFile.at(current.path);
      if (file === undefined) continue; // replaced or removed since
      if (file.key === current.key) return { record: current.record, file };
      file.close();
    }
    throw beingChanged(`the file of ${bucket}/${name} is being changed`);
  }

  /** The names of all live objects that begin with `prefix`. In no order. Throws 404 when the bucket does not exist. */
  async names(bucket: string, prefix: string): Promise<Set<string>> {
    this.buckets.check(bucket);
    const names = new Set<string>();
    for await (const { name } of walk(this.buckets.folderOf(bucket), prefix)) names.add(name);
    return names;
  }

  stage(): StagedFile {
    return new StagedFile(this.staging);
  }

  /** Turns staged bytes into the object, whole and at once, if the preconditions hold. The staged file is gone afterwards. */
  async commit(bucket: string, name: string, object: NewObject, conditions: Preconditions): Promise<ObjectRecord> {
    const { staged, settings, componentCount } = object;
    try {
      checkObjectName(name);
      return await this.#turns.take(bucket, async () => {
        const keeping = this.#keeping(bucket);
        const old = await this.#current(bucket, name);
        checkPreconditions(conditions, stateOf(old?.record));
        const now = new Date().toISOString();
        const { size, md5Hash, crc32c } = staged;
        const record: ObjectRecord = {
          bucket,
          name,
          generation: this.#generations.next(),
          metageneration: "1",
          size,
          ...(componentCount === undefined ? { md5Hash } : { componentCount }),
          crc32c,
          timeCreated: now,
          updated: now,
          settings: {
            ...(keeping.storageClass === undefined ? {} : { storageClass: keeping.storageClass }),
            ...settings,
          },
        };
        const target = old?.path ?? place(this.buckets.folderOf(bucket), name);
        this.#put(record, staged, target, old, keeping);
        return record;
      });
    } catch (error) {
      unlinkIfThere(staged.path);
      throw error;
    }
  }

  /** Renames an object within its bucket, at once, under a new generation. */
  async move(
    bucket: string,
    from: string,
    to: string,
    conditions: { readonly source: Preconditions; readonly target: Preconditions },
    generation: string | null,
  ): Promise<ObjectRecord> {
    checkObjectName(to);
    if (from === to) throw badRequest("An object cannot be moved to its own name");
    return this.#turns.take(bucket, async () => {
      const folder = this.buckets.folderOf(bucket);
      const keeping = this.#keeping(bucket);
      const source = await this.#current(bucket, from);
      if (source === undefined || (generation !== null && generation !== source.record.generation)) {
        throw noObject(bucket, from);
      }
      checkPreconditions(conditions.source, stateOf(source.record));
      const old = await this.#current(bucket, to);
      checkPreconditions(conditions.target, stateOf(old?.record));
      const now = new Date().toISOString();
      const record = {
        ...source.record,
        name: to,
        generation: this.#generations.next(),
        metageneration: "1",
        timeCreated: now,
        updated: now,
      };
      const target = old?.path ?? place(folder, to);
      // The new one's folder may have taken the place of the old one's file.
      const { path } = findFile(folder, from) ?? source;
      this.#put(record, { path, key: source.key }, target, old, keeping);
      this.#records.forget(bucket, source.key, from);
      pruneFolders(folder, path);
      return record;
    });
  }

  /** Makes a file the object of this record: the record first, then the rename that both come into force with. */
  #put(record: ObjectRecord, file: Found, target: string, old: Current | undefined, keeping: Keeping): void {
    const { bucket, name } = record;
    if (old !== undefined) this.#keep(old, keeping, record.updated);
    this.#records.add(file.key, record);
    renameSync(file.path, target);
    this.observe(eventOf("commit", record));
    if (old !== undefined && old.key !== file.key) this.#records.forget(bucket, old.key, name);
  }

  /** Changes what is known of an object, or of one of its versions, if the preconditions hold. Throws 404. */
  async change(
    bucket: string,
    name: string,
    generation: string | null,
    conditions: Preconditions,
    change: (settings: ObjectSettings) => ObjectSettings,
  ): Promise<ObjectRecord> {
    return this.#turns.take(bucket, async () => {
      this.buckets.check(bucket);
      const live = await this.#current(bucket, name);
      const isLive = live !== undefined && (generation === null || generation === live.record.generation);
      const current = isLive ? live.record : await this.existing(bucket, name, generation);
      checkPreconditions(conditions, stateOf(current));
      const record: ObjectRecord = {
        ...current,
        metageneration: (BigInt(current.metageneration) + 1n).toString(),
        updated: new Date().toISOString(),
        settings: change(current.settings),
      };
      if (isLive) this.#records.write(live.key, record);
      else this.versions.write(record);
      return record;
    });
  }

  /** Deletes the live object or, of a generation, that version for good. Throws 404. */
  async delete(bucket: string, name: string, conditions: Preconditions, generation: string | null): Promise<void> {
    await this.#turns.take(bucket, async () => {
      const keeping = this.#keeping(bucket);
      const live = await this.#current(bucket, name);
      const now = new Date().toISOString();
      if (live === undefined || (generation !== null && generation !== live.record.generation)) {
        const version = await this.existing(bucket, name, generation);
        checkPreconditions(conditions, stateOf(version));
        if (keeping.softSeconds > 0) this.versions.write(softDeleted(version, keeping.softSeconds, now));
        else this.versions.remove(version);
        return;
      }
      checkPreconditions(conditions, stateOf(live.record));
      // Who names the generation wants it gone, not kept as a version.
      this.#keep(live, { ...keeping, versions: keeping.versions && generation === null }, now);
      unlinkSync(live.path);
      this.observe(eventOf("delete", live.record));
      this.#records.forget(bucket, live.key, name);
      pruneFolders(this.buckets.folderOf(bucket), live.path);
    });
  }

  /** What the bucket's settings mean for its objects. Throws 404 when the bucket does not exist. */
  #keeping(bucket: string): Keeping {
    const { settings } = this.buckets.get(bucket);
    return {
      versions: settings.versioning?.enabled === true,
      softSeconds: Number(settings.softDeletePolicy?.retentionDurationSeconds ?? 0),
      storageClass: settings.storageClass,
    };
  }

  #keep(old: Current, { versions, softSeconds }: Keeping, now: string): void {
    if (versions) this.versions.keep(old.path, { ...old.record, timeDeleted: now });
    else if (softSeconds > 0) this.versions.keep(old.path, softDeleted(old.record, softSeconds, now));
  }

  // ---- files

  /** The live object: its file and its record, which is made when there is none. */
  async #current(bucket: string, name: string): Promise<Current | undefined> {
    for (let tries = 0; ; tries += 1) {
      const found = findFile(this.buckets.folderOf(bucket), name);
      if (found === undefined) return undefined;
      const record = this.#records.read(bucket, found.key, name) ?? (await this.#adopting.record(bucket, name, found));
      if (record !== undefined) return { ...found, record };
      if (tries === maxTries) throw beingChanged(`the file of ${bucket}/${name} is being written`);
    }
  }

  async #sweep(): Promise<void> {
    await rm(this.staging, { recursive: true, force: true });
    await mkdir(this.staging, { recursive: true });
    for (const bucket of await this.buckets.names()) {
      const live: { key: string; name: string }[] = [];
      for await (const { name, path } of walk(this.buckets.folderOf(bucket))) {
        const found = lstatOrNot(path);
        if (found !== undefined) live.push({ key: keyOf(found), name });
      }
      await this.#records.sweep(bucket, live);
      await this.versions.sweep(bucket, async (name) => (await this.get(bucket, name))?.generation);
    }
  }
}

interface Current extends Found {
  readonly record: ObjectRecord;
}

interface Keeping {
  /** What is replaced or deleted is kept as a version. */
  readonly versions: boolean;
  /** Or else for so long. */
  readonly softSeconds: number;
  /** Of objects that name none. */
  readonly storageClass: string | undefined;
}

function softDeleted(record: ObjectRecord, seconds: number, now: string): ObjectRecord {
  const hardDeleteTime = new Date(Date.parse(now) + seconds * 1_000).toISOString();
  return { ...record, timeDeleted: record.timeDeleted ?? now, softDeleteTime: now, hardDeleteTime };
}

/** What preconditions are about. */
export function stateOf(record: ObjectRecord | undefined) {
  return record === undefined ? undefined : { ...record, etag: etagOf(record) };
}
