import type { Duration } from "@bufbuild/protobuf/wkt";
import { milliseconds } from "../broker/policies.js";
import { invalidArgument } from "../errors.js";

export const minute = 60_000;
export const day = 24 * 60 * minute;

/** Throws INVALID_ARGUMENT when a duration that is set is not between `least` and `most`, in milliseconds. */
export function checkDuration(field: string, duration: Duration | undefined, least: number, most: number): void {
  const ms = milliseconds(duration);
  if (ms === undefined || (ms >= least && ms <= most)) return;
  throw invalidArgument(`${field} is ${least / 1_000} to ${most / 1_000} seconds, not ${ms / 1_000}`);
}
