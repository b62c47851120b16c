import { badRequest, preconditionFailed } from "./errors.js";
import type { ObjectRecord } from "./record.js";

/** https://cloud.google.com/storage/docs/request-preconditions */
export interface Preconditions {
  readonly ifGenerationMatch?: string;
  readonly ifGenerationNotMatch?: string;
  readonly ifMetagenerationMatch?: string;
  readonly ifMetagenerationNotMatch?: string;
}

const keys = [
  "ifGenerationMatch",
  "ifGenerationNotMatch",
  "ifMetagenerationMatch",
  "ifMetagenerationNotMatch",
] as const;

export function preconditionsOf(query: URLSearchParams): Preconditions {
  const found: Record<string, string> = {};
  for (const key of keys) {
    const value = query.get(key);
    if (value === null) continue;
    if (!/^\d+$/.test(value)) throw badRequest(`${key} is a number, not "${value}"`);
    found[key] = BigInt(value).toString();
  }
  return found;
}

/** Throws 412 when the object, as it is now, does not meet them. An absent object has generation 0. */
export function checkPreconditions(conditions: Preconditions, current: ObjectRecord | undefined): void {
  const generation = current?.generation ?? "0";
  const metageneration = current?.metageneration ?? "0";
  const failed =
    (conditions.ifGenerationMatch !== undefined && conditions.ifGenerationMatch !== generation) ||
    conditions.ifGenerationNotMatch === generation ||
    (conditions.ifMetagenerationMatch !== undefined && conditions.ifMetagenerationMatch !== metageneration) ||
    (conditions.ifMetagenerationNotMatch !== undefined && conditions.ifMetagenerationNotMatch === metageneration);
  if (failed) throw preconditionFailed("At least one of the pre-conditions you specified did not hold.");
}
