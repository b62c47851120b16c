import type { ObjectRecord } from "./store/record.js";

/** An object that was written or deleted, as it happens; for tests that keep a ledger. */
export interface StorageEvent {
  readonly kind: "commit" | "delete";
  readonly bucket: string;
  readonly name: string;
  readonly generation: string;
  /** Bytes. */
  readonly size: number;
  /** Base64, big-endian. */
  readonly crc32c: string;
  /** What its writer said of it. */
  readonly metadata: Readonly<Record<string, string>>;
}

export function eventOf(kind: StorageEvent["kind"], record: ObjectRecord): StorageEvent {
  const { bucket, name, generation, size, crc32c, settings } = record;
  return { kind, bucket, name, generation, size, crc32c, metadata: settings.metadata ?? {} };
}
