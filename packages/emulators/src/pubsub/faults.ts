import { type FaultEvent, FaultSchedule } from "../fault-schedule.js";

/** What can go wrong on purpose. The numbers are probabilities from 0 to 1, each per opportunity. */
export interface Faults {
  /** Decides, with the count of opportunities, what happens when: the same seed gives the same schedule. */
  readonly seed?: number;
  /** A message is handed out twice. Not with exactly-once delivery or an ordering key. */
  readonly duplicate?: number;
  /** A message changes its place with the next one. Not with an ordering key. */
  readonly reorder?: number;
  /** A message is held back for `delayMs`. Not with an ordering key. */
  readonly delay?: number;
  /** Milliseconds; 1,000 unless said. */
  readonly delayMs?: number;
  /** A message's deadline expires at once, whatever its consumer does to prolong it. */
  readonly expireDeadline?: number;
  /** An acknowledgement is answered with OK and forgotten; with exactly-once delivery, refused for the moment. */
  readonly loseAck?: number;
  /** A publish, pull, acknowledge or modify request is answered with UNAVAILABLE and not carried out. */
  readonly unavailable?: number;
  /** A streaming pull is reset after a response. */
  readonly resetStream?: number;
  /** After a publish request was answered, all connections break and the emulator starts anew from its log. */
  readonly restart?: number;
}

export const faultKinds = [
  "duplicate",
  "reorder",
  "delay",
  "expireDeadline",
  "loseAck",
  "unavailable",
  "resetStream",
  "restart",
] as const;

export type FaultKind = (typeof faultKinds)[number];

const defaultDelayMs = 1_000;

/** Decides for each opportunity of a fault of Pub/Sub whether it happens. */
export class PubSubFaults extends FaultSchedule<FaultKind, Faults> {
  constructor(faults: Faults, tell?: (event: FaultEvent<FaultKind>) => void) {
    super(faultKinds, faults, tell);
    checkDelay(faults);
  }

  override set(faults: Faults): void {
    checkDelay(faults);
    super.set(faults);
  }

  get delayMs(): number {
    return this.faults.delayMs ?? defaultDelayMs;
  }
}

function checkDelay({ delayMs }: Faults): void {
  if (delayMs !== undefined && !(delayMs >= 0)) throw new RangeError("delayMs is not negative");
}
