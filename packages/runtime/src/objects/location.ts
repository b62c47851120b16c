import { isAbsolute, resolve } from "node:path";
import { PermanentError } from "../api/errors.js";
import type { ObjectPath } from "./store.js";

/**
 * The object of an element: location, slash, element, suffix. A location is `gs://…` or a folder, whose relative path is that
 * of the directory the job runs in.
 * Throws a PermanentError (`ILLEGAL_OBJECT_NAME`) when Cloud Storage has no such name
 * (https://cloud.google.com/storage/docs/objects#naming), or when it would lie outside its folder.
 */
export function objectPath(location: string, element: string, suffix: string): ObjectPath {
  if (!location.startsWith("gs://")) return filePath(location, element + suffix);
  const [bucket = "", ...folder] = location.slice("gs://".length).replace(/\/+$/, "").split("/");
  const name = [...folder, element + suffix].join("/");
  checkName(name);
  return { bucket, name };
}

function filePath(folder: string, name: string): ObjectPath {
  checkName(name);
  const segments = name.split(/[/\\]/);
  if (isAbsolute(name) || segments.some((s) => s === ".." || s === "." || s === "") || name.includes("\0")) {
    throw illegal(name, "in a folder it must be a path below it");
  }
  // A folder for bookkeeping of ours lies beside the files.
  if (segments[0] === ".klio") throw illegal(name, ".klio is klio's own folder");
  return { bucket: resolve(folder), name };
}

function checkName(name: string): void {
  const bytes = Buffer.byteLength(name);
  if (bytes > 1_024) throw illegal(name, `it has ${bytes} bytes, at most 1024 are legal`);
  const refused =
    name === "." ||
    name === ".." ||
    /[\r\n]/.test(name) ||
    !name.isWellFormed() || // names are UTF-8
    name.startsWith(".well-known/acme-challenge/");
  if (refused) throw illegal(name, "Cloud Storage does not allow it");
}

function illegal(name: string, why: string): PermanentError {
  return new PermanentError(`illegal object name ${JSON.stringify(shorten(name))}: ${why}`, {
    code: "ILLEGAL_OBJECT_NAME",
  });
}

function shorten(text: string): string {
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}
