import { badRequest } from "../errors.js";

// https://cloud.google.com/storage/docs/buckets#naming
const bucketName = /^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/;

export function isBucketName(name: string): boolean {
  const wrongPart = name.split(".").some((part) => part.length > 63 || part === "");
  const isAddress = /^\d+\.\d+\.\d+\.\d+$/.test(name);
  return bucketName.test(name) && !wrongPart && !isAddress && !name.startsWith("goog") && !name.includes("google");
}

export function checkBucketName(name: string): string {
  if (!isBucketName(name)) throw badRequest(`Invalid bucket name: '${name}'`);
  return name;
}

/** Refuses the names the service refuses: https://cloud.google.com/storage/docs/objects#naming */
export function checkObjectName(name: string): string {
  const bytes = Buffer.byteLength(name);
  if (bytes === 0 || bytes > 1_024) throw badRequest(`An object name has 1 to 1024 bytes, not ${bytes}`);
  const illegal =
    name === "." || name === ".." || /[\r\n]/.test(name) || name.startsWith(".well-known/acme-challenge/");
  if (illegal || !name.isWellFormed()) throw badRequest(`Invalid object name: ${JSON.stringify(name)}`);
  return name;
}
