/** What became of an upload. */
export interface UploadedObject {
  /** `gs://bucket/name`, or a file's path. */
  readonly uri: string;
  /**
   * `uploaded`: written now. `adopted`: an earlier attempt of the same message had written it.
   * `kept`: somebody else's object was there and the message is not forced.
   */
  readonly write: "uploaded" | "adopted" | "kept";
  /** Bytes; 0 unless uploaded. */
  readonly size: number;
  /** Which version of the object: a whole number as text (https://cloud.google.com/storage/docs/metadata#generation-number). */
  readonly generation: string;
}
