/** An object that was written or deleted, as it happens; for tests that keep a ledger. */
export interface StorageEvent {
  readonly kind: "commit" | "delete";
  readonly bucket: string;
  readonly name: string;
  readonly generation: string;
}
