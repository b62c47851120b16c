/** An object that was written, as it happens; for tests that keep a ledger. */
export interface StorageEvent {
  readonly kind: "commit";
  readonly bucket: string;
  readonly name: string;
  readonly generation: string;
}
