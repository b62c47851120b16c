/** What became of an upload. */
export interface UploadedObject {
  /** `gs://bucket/name`. */
  readonly uri: string;
  /**
   * `uploaded`: written now. `adopted`: an earlier attempt of the same message had written it.
   * `kept`: somebody else's object was there and the message is not forced.
   */
  readonly write: "uploaded" | "adopted" | "kept";
  /** Bytes; 0 unless uploaded. */
  readonly size: number;
  readonly generation: string;
}
