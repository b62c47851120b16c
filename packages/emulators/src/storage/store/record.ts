/** What is known of an object besides its bytes. Kept as JSON, out of sight. */
export interface ObjectRecord {
  readonly bucket: string;
  readonly name: string;
  readonly generation: string;
  readonly metageneration: string;
  /** Bytes. */
  readonly size: number;
  /** Base64. A composed object has none. */
  readonly md5Hash?: string;
  /** Base64, big-endian. */
  readonly crc32c: string;
  /** Of a composed object. */
  readonly componentCount?: number;
  /** ISO 8601. */
  readonly timeCreated: string;
  readonly updated: string;
  readonly settings: ObjectSettings;
  /** Of a version that is not the live one: when it stopped being it. */
  readonly timeDeleted?: string;
  /** Of a soft-deleted object: since when, and until when it can be restored. */
  readonly softDeleteTime?: string;
  readonly hardDeleteTime?: string;
}

/** What a client may set and change. */
export interface ObjectSettings {
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly contentDisposition?: string;
  readonly contentLanguage?: string;
  readonly cacheControl?: string;
  readonly customTime?: string;
  readonly storageClass?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

export function etagOf(record: Pick<ObjectRecord, "generation" | "metageneration">): string {
  return Buffer.from(`${record.generation}/${record.metageneration}`).toString("base64");
}
