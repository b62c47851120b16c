import { mkdirSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { conflict, notFound } from "../errors.js";
import { lstatOrNot, removeEmpty } from "./files.js";
import type { JsonFiles } from "./json-files.js";
import { checkBucketName, isBucketName } from "./names.js";

/** What is known of a bucket. */
export interface BucketRecord {
  readonly name: string;
  readonly metageneration: string;
  /** ISO 8601. */
  readonly timeCreated: string;
  readonly updated: string;
  readonly settings: BucketSettings;
}

export interface BucketSettings {
  readonly location?: string;
  readonly storageClass?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly versioning?: { readonly enabled: boolean };
  /** Seconds for which deleted objects can be restored; 0 is off. */
  readonly softDeletePolicy?: { readonly retentionDurationSeconds: string; readonly effectiveTime?: string };
  /** Kept and given back; there is no access control here. */
  readonly iamConfiguration?: unknown;
}

/** Buckets: the folders at the root of a store, and their settings beside, out of sight. */
export class Buckets {
  constructor(
    readonly root: string,
    readonly folder: string,
    readonly files: JsonFiles,
  ) {}

  folderOf(name: string): string {
    return join(this.root, name);
  }

  /** Throws 400 for what is no bucket's name, 409 when there is one. */
  create(name: string, settings: BucketSettings): BucketRecord {
    checkBucketName(name);
    if (lstatOrNot(this.folderOf(name)) !== undefined) {
      throw conflict("Your previous request to create the named bucket succeeded and you already own it.");
    }
    const now = new Date().toISOString();
    const record: BucketRecord = { name, metageneration: "1", timeCreated: now, updated: now, settings };
    this.write(record);
    mkdirSync(this.folderOf(name));
    return record;
  }

  /** Throws 404. */
  get(name: string): BucketRecord {
    const record = this.find(name);
    if (record === undefined) throw missing();
    return record;
  }

  /** Undefined when there is none. */
  find(name: string): BucketRecord | undefined {
    const folder = this.#folder(name);
    if (folder === undefined) return undefined;
    // A folder that was made by hand is a bucket, too.
    const made = folder.birthtime.toISOString();
    const record = this.files.read<BucketRecord>(this.#path(name));
    return record ?? { name, metageneration: "1", timeCreated: made, updated: made, settings: {} };
  }

  /** Throws 404 when there is no such bucket. */
  check(name: string): void {
    if (this.#folder(name) === undefined) throw missing();
  }

  #folder(name: string) {
    // Only what is a bucket's name: "..", "." and klio's own folder are not.
    const found = isBucketName(name) ? lstatOrNot(this.folderOf(name)) : undefined;
    return found?.isDirectory() === true ? found : undefined;
  }

  /** Names, sorted. */
  async names(): Promise<string[]> {
    const entries = await readdir(this.root, { withFileTypes: true });
    return entries
      .filter((e) => e.isDirectory() && isBucketName(e.name))
      .map((e) => e.name)
      .sort();
  }

  write(record: BucketRecord): void {
    this.files.write(this.#path(record.name), record);
  }

  /** False when it is not empty. */
  remove(name: string): boolean {
    if (!removeEmpty(this.folderOf(name))) return false;
    this.files.remove(this.#path(name));
    return true;
  }

  #path(name: string): string {
    return join(this.folder, `${name}.json`);
  }
}

const missing = () => notFound("The specified bucket does not exist.");

export function bucketEtag(record: BucketRecord): string {
  return Buffer.from(`${record.name}/${record.metageneration}`).toString("base64");
}
