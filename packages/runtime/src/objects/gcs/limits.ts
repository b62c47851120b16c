/** The bounds of what is asked of Cloud Storage at once, and of how long it is asked again. */
export interface GcsLimits {
  /** Tries of one request, the first one included; a download's are counted anew after each `progressBytes`. */
  readonly tries: number;
  /** Milliseconds before the second try; doubled for each that follows, and spread at random. */
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
  /** A connection on which no byte came or went for so long is broken off. */
  readonly stallMs: number;
  readonly progressBytes: number;
  /** How often an object is downloaded whose bytes do not match their checksum. */
  readonly downloads: number;
  /** An object of more than two parts is downloaded in parts of so many bytes, `parallel` of them side by side. */
  readonly partBytes: number;
  readonly parallel: number;
  /**
   * Up to so many bytes go up in one request, more in pieces of this size, of which two are held in memory. A multiple of 256 KiB:
   * https://cloud.google.com/storage/docs/performing-resumable-uploads#chunked-upload
   */
  readonly pieceBytes: number;
}

const mebi = 1024 * 1024;

/** With eight tries the delays are half a minute together. */
export const gcsLimits: GcsLimits = {
  tries: 8,
  firstDelayMs: 250,
  maxDelayMs: 8_000,
  stallMs: 30_000,
  progressBytes: mebi,
  downloads: 3,
  partBytes: 16 * mebi,
  parallel: 4,
  pieceBytes: 4 * mebi,
};
