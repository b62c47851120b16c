import { type FaultEvent, FaultSchedule } from "../fault-schedule.js";

/** What can go wrong with Cloud Storage on purpose. The numbers are probabilities from 0 to 1, each per opportunity. */
export interface StorageFaults {
  /** Decides, with the count of opportunities, what happens when: the same seed gives the same schedule. */
  readonly seed?: number;
  /** A request is answered with 408, Request Timeout, and not carried out. */
  readonly requestTimeout?: number;
  /** A request is answered with 429, Too Many Requests, and not carried out. */
  readonly tooManyRequests?: number;
  /** A request is answered with 500, Internal Error, and not carried out. */
  readonly internalError?: number;
  /** A request is answered with 503, Service Unavailable, and not carried out. */
  readonly serviceUnavailable?: number;
  /** The connection breaks when `afterBytes` of an upload's body were read. */
  readonly resetUpload?: number;
  /** The connection breaks when `afterBytes` of an object's bytes were sent. */
  readonly resetDownload?: number;
  /** An object's bytes end after `afterBytes`, and the answer looks whole: its checksum alone tells. */
  readonly truncateDownload?: number;
  /** A byte of an object's bytes is another one, so that they do not match their checksum. */
  readonly corruptDownload?: number;
  /** An object's bytes stop after `afterBytes` for `stallMs`. */
  readonly stallDownload?: number;
  /** An answer is held back for `delayMs`, after its request was carried out. With 1, each: a network between client and bucket. */
  readonly delayReply?: number;
  /** A change is carried out, and the connection breaks before the answer. */
  readonly loseReply?: number;
  /** Bytes; 1,000 unless said. A body that is not longer is broken, cut or stalled at its end. */
  readonly afterBytes?: number;
  /** Milliseconds; 30,000 unless said. */
  readonly stallMs?: number;
  /** Milliseconds; 1,000 unless said. */
  readonly delayMs?: number;
}

export const storageFaultKinds = [
  "requestTimeout",
  "tooManyRequests",
  "internalError",
  "serviceUnavailable",
  "resetUpload",
  "resetDownload",
  "truncateDownload",
  "corruptDownload",
  "stallDownload",
  "delayReply",
  "loseReply",
] as const;

export type StorageFaultKind = (typeof storageFaultKinds)[number];

const statuses = { requestTimeout: 408, tooManyRequests: 429, internalError: 500, serviceUnavailable: 503 } as const;

/** Decides for each opportunity of a fault of Cloud Storage whether it happens. */
export class StorageFaultSchedule extends FaultSchedule<StorageFaultKind, StorageFaults> {
  constructor(faults: StorageFaults, tell?: (event: FaultEvent<StorageFaultKind>) => void) {
    super(storageFaultKinds, faults, tell);
    checkSizes(faults);
  }

  override set(faults: StorageFaults): void {
    checkSizes(faults);
    super.set(faults);
  }

  get afterBytes(): number {
    return this.faults.afterBytes ?? 1_000;
  }

  get stallMs(): number {
    return this.faults.stallMs ?? 30_000;
  }

  get delayMs(): number {
    return this.faults.delayMs ?? 1_000;
  }

  /** The status that this request is refused with. Undefined when it is not. */
  refusal(): number | undefined {
    const kinds = Object.keys(statuses) as (keyof typeof statuses)[];
    const kind = kinds.find((k) => this.strikes(k));
    return kind === undefined ? undefined : statuses[kind];
  }
}

function checkSizes(faults: StorageFaults): void {
  for (const key of ["afterBytes", "stallMs", "delayMs"] as const) {
    const value = faults[key];
    if (value !== undefined && !(value >= 0)) throw new RangeError(`${key} is not negative`);
  }
}
