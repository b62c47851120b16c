import { createHash } from "node:crypto";
import { badRequest } from "./errors.js";

// https://cloud.google.com/storage/docs/buckets#naming
const bucketName = /^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/;

export function isBucketName(name: string): boolean {
  const wrongPart = name.split(".").some((part) => part.length > 63 || part === "");
  return bucketName.test(name) && !wrongPart && !name.startsWith("goog");
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

// On disk an object lies under its own name wherever a plain file can carry it. "%" begins an escape:
//   %XX a byte · %_ an empty segment · %~ a segment too long for a file name · %@ (at the end) an object beside a folder
const maxSegmentBytes = 240;
const unsafe = /[\u0000-\u001f\u007f\\:*?"<>|]|%(?=[0-9A-Fa-f]{2}|[_~@])|[. ]$/g;
const reserved = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?=\.|$)/i;
/** klio's own folder at the root of a store; a bucket cannot have this name. */
export const hiddenFolder = ".klio";
export const besideFolder = "%@";

/** Whether a segment can be a file's name as it stands, without leaving its folder. */
export function isFileName(segment: string): boolean {
  return (
    segment !== "" &&
    segment !== "." &&
    segment !== ".." &&
    !segment.includes("\0") &&
    Buffer.byteLength(segment) <= 255
  );
}

/** The path of an object below its bucket's folder, as segments none of which leaves it. */
export function toSegments(name: string): string[] {
  return name.split("/").map(toSegment);
}

function toSegment(text: string): string {
  if (text === "") return "%_";
  if (text === "." || text === "..") return percent(text);
  const safe = text.replace(unsafe, percent).replace(reserved, (word) => percent(word.charAt(0)) + word.slice(1));
  if (Buffer.byteLength(safe) <= maxSegmentBytes) return safe;
  const head = Array.from(safe).slice(0, 40).join("").replaceAll("%", "");
  return `${head}%~${createHash("sha256").update(text).digest("hex")}`;
}

function percent(text: string): string {
  return [...Buffer.from(text)].map((b) => `%${b.toString(16).toUpperCase().padStart(2, "0")}`).join("");
}

/** The object name of a path below a bucket's folder; undefined when only its record knows it. */
export function fromSegments(segments: readonly string[]): string | undefined {
  if (segments.some((s) => s.includes("%~"))) return undefined;
  return segments.map((s) => (s === "%_" ? "" : unescape(s.replace(/%@$/, "")))).join("/");
}

function unescape(segment: string): string {
  if (!segment.includes("%")) return segment;
  const bytes: Buffer[] = [];
  for (const part of segment.split(/(%[0-9A-Fa-f]{2})/)) {
    const escape = /^%([0-9A-Fa-f]{2})$/.exec(part)?.[1];
    bytes.push(escape === undefined ? Buffer.from(part) : Buffer.from([Number.parseInt(escape, 16)]));
  }
  return Buffer.concat(bytes).toString();
}
